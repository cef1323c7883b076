//! Long texts in parts: cut where a reader would, measured after printing. The document is cut, not the printed text,
//! so no tag, escape or link is ever torn.

use std::cell::LazyCell;
use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use super::bbcode;
use super::doc::Doc;
use super::print::{Form, Print, render};

/// Smaller limits are taken for this one: no channel has one, and a single escaped character must fit.
const MIN_UNITS: usize = 64;

/// Reads BB-code for a channel. Where links have no markup they become text before anything is measured.
pub(super) fn prepared(bbcode: &str, how: Print) -> Doc {
    let doc = bbcode::parse(bbcode);
    if how == Print::Plain { doc.with_flat_links(|_| true) } else { doc }
}

/// Writes an operator's BB-code as the channel reads it, in parts of at most `max_units` UTF-16 units (at least 64).
/// Cuts at a paragraph, else a line, else a word, else a grapheme; marks are closed and reopened. An empty text has
/// no parts.
pub fn print_parts(bbcode: &str, how: Print, max_units: usize) -> Vec<String> {
    let max_units = max_units.max(MIN_UNITS);
    // An address is repeated in each part of its label and grows fivefold at worst (`&amp;`): one that could leave no
    // room beside itself is written out instead.
    let doc = prepared(bbcode, how).with_flat_links(|url| units(url) * 5 + MIN_UNITS > max_units);
    let unmarked = LazyCell::new(|| doc.unmarked());
    let mut parts = vec![];
    let mut start = 0;
    while let Some(range) = trimmed(doc.text(), start) {
        let (end, part) = cut(&doc, &range, how, max_units)
            // Hardly any room: better text without marks than no text.
            .or_else(|| cut(&unmarked, &range, how, max_units))
            .unwrap_or_else(|| torn(&unmarked, &range, how, max_units));
        if !part.trim().is_empty() {
            parts.push(part);
        }
        start = end;
    }
    parts
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// What is left from `start` on without spaces at its ends, or nothing.
fn trimmed(text: &str, start: usize) -> Option<Range<usize>> {
    let rest = text.get(start..)?;
    let body = rest.trim_start();
    let start = text.len() - body.len();
    (!body.is_empty()).then(|| start..start + body.trim_end().len())
}

/// Prints without the spaces at the end, which a cut leaves there.
fn printed(doc: &Doc, range: Range<usize>, how: Print) -> String {
    let length = doc.text().get(range.clone()).unwrap_or_default().trim_end().len();
    render(doc, range.start..range.start + length, Form::To(how))
}

/// The longest part that fits, cut at the best place near its end, and where it ends. Nothing when not even one
/// grapheme fits.
fn cut(doc: &Doc, range: &Range<usize>, how: Print, max_units: usize) -> Option<(usize, String)> {
    let text = doc.text().get(range.clone())?;
    let borders = borders(text, max_units);
    let fit = |end: usize| {
        let part = printed(doc, range.start..range.start + end, how);
        (units(&part) <= max_units).then_some(part)
    };
    if borders.last() == Some(&text.len())
        && let Some(part) = fit(text.len())
    {
        return Some((range.end, part));
    }
    let mut count = borders.partition_point(|end| fit(*end).is_some());
    // Printing is not quite monotonous, because signs disappear where they would not be seen: hence the loop.
    while let Some(end) = count.checked_sub(1).and_then(|last| borders.get(last)) {
        let end = best_place(text, *end);
        if let Some(part) = fit(end) {
            return Some((range.start + end, part));
        }
        count = count * 3 / 4;
    }
    None
}

/// The ends of the first graphemes that could fit. Looks no further than that: a hostile text is one long grapheme.
fn borders(text: &str, max_units: usize) -> Vec<usize> {
    let mut used = 0;
    // One character too many, so that the grapheme in which this ends is over the limit.
    let enough = text.char_indices().nth(max_units + 1).map_or(text.len(), |(at, _)| at);
    text.get(..enough)
        .unwrap_or_default()
        .grapheme_indices(true)
        .map_while(|(at, grapheme)| {
            used += units(grapheme);
            (used <= max_units).then_some(at + grapheme.len())
        })
        .collect()
}

/// Where to cut within the first `end` bytes: a paragraph or line in the second half, else a word, else right there.
fn best_place(text: &str, end: usize) -> usize {
    if end == text.len() {
        return end;
    }
    // A space right behind the border makes the border itself the end of a word.
    let next = text.get(end..).and_then(|rest| rest.chars().next()).filter(|char| char.is_whitespace());
    let window = text.get(..end + next.map_or(0, char::len_utf8)).unwrap_or_default();
    let half = |at: &usize| *at >= end / 2;
    window
        .rfind("\n\n")
        .filter(half)
        .or_else(|| window.rfind('\n').filter(half))
        .or_else(|| window.rfind(char::is_whitespace))
        .filter(|at| *at > 0)
        .unwrap_or(end)
}

/// The beginning of a grapheme that is longer than a whole part: the only case that is cut between its characters.
fn torn(doc: &Doc, range: &Range<usize>, how: Print, max_units: usize) -> (usize, String) {
    let text = doc.text().get(range.clone()).unwrap_or_default();
    let ends: Vec<usize> =
        text.char_indices().take(max_units).map(|(at, char)| range.start + at + char.len_utf8()).collect();
    let fitting = ends.partition_point(|end| units(&printed(doc, range.start..*end, how)) <= max_units);
    // One character always goes, or this would not end.
    let end = ends.get(fitting.saturating_sub(1)).copied().unwrap_or(range.end);
    (end, printed(doc, range.start..end, how))
}
