//! The model in which every markup meets: plain text, ranges with their look, links, quoted lines. It is flat, so
//! wrongly nested tags need no repair and deep nesting costs nothing.

use std::ops::Range;

/// Bold.
pub(super) const BOLD: u8 = 1;
/// Italic.
pub(super) const ITALIC: u8 = 2;
/// Underlined.
pub(super) const UNDERLINE: u8 = 4;
/// Struck through.
pub(super) const STRIKE: u8 = 8;

/// All marks, outermost first where nothing else decides.
pub(super) const MARKS: [u8; 4] = [BOLD, ITALIC, UNDERLINE, STRIKE];

/// How a stretch of text looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    /// The marks that hold, as bits.
    pub(super) marks: u8,
    /// Number of the link it belongs to.
    pub(super) link: Option<usize>,
}

#[derive(Clone, Debug)]
struct Span {
    end: usize,
    look: Look,
}

/// Text with looks. Invariant (kept by `push`): spans are in order, without gaps, and end with the text.
#[derive(Clone, Debug, Default)]
pub(super) struct Doc {
    text: String,
    spans: Vec<Span>,
    links: Vec<String>,
    quotes: Vec<Range<usize>>,
}

impl Doc {
    /// An empty document whose links are those of `other`, to move pieces over.
    pub(super) fn sharing_links(other: &Self) -> Self {
        Self { links: other.links.clone(), ..Self::default() }
    }

    /// The text alone.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Appends `text` in one look.
    pub(super) fn push(&mut self, text: &str, look: Look) {
        if text.is_empty() {
            return;
        }
        self.text.push_str(text);
        let end = self.text.len();
        match self.spans.last_mut() {
            Some(last) if last.look == look => last.end = end,
            _ => self.spans.push(Span { end, look }),
        }
    }

    /// Makes a link known and returns its number.
    pub(super) fn add_link(&mut self, url: String) -> usize {
        self.links.push(url);
        self.links.len() - 1
    }

    /// Address of a link.
    pub(super) fn link(&self, number: usize) -> &str {
        self.links.get(number).map_or("", String::as_str)
    }

    /// Declares lines quoted; ranges come in order.
    pub(super) fn add_quote(&mut self, lines: Range<usize>) {
        self.quotes.push(lines);
    }

    /// Whether the line that starts at or contains `at` is quoted.
    pub(super) fn is_quoted(&self, at: usize) -> bool {
        let index = self.quotes.partition_point(|quote| quote.end < at);
        self.quotes.get(index).is_some_and(|quote| quote.contains(&at) || quote.end == at)
    }

    /// The stretches of one look within `range`.
    pub(super) fn pieces(&self, range: Range<usize>) -> impl Iterator<Item = (&str, Look)> {
        let first = self.spans.partition_point(|span| span.end <= range.start);
        let mut start = range.start;
        self.spans.get(first..).unwrap_or_default().iter().map_while(move |span| {
            let end = span.end.min(range.end);
            let text = self.text.get(start..end).filter(|text| !text.is_empty())?;
            start = end;
            Some((text, span.look))
        })
    }

    /// Byte ranges of the lines within `range`, without their line feeds.
    pub(super) fn lines(&self, range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let mut start = range.start;
        self.text.get(range).unwrap_or_default().split('\n').map(move |line| {
            let whole = start..start + line.len();
            start = whole.end + 1;
            whole
        })
    }

    /// The same without marks; links and quotes stay.
    pub(super) fn unmarked(&self) -> Self {
        let mut doc = self.clone();
        for span in &mut doc.spans {
            span.look.marks = 0;
        }
        doc
    }

    /// The same with the links for which `flat` says so written out: `label (address)`, or one of the two when they
    /// say the same.
    pub(super) fn with_flat_links(&self, flat: impl Fn(&str) -> bool) -> Self {
        if !self.links.iter().any(|url| flat(url)) {
            return self.clone();
        }
        let mut doc = Self::sharing_links(self);
        // Where each line feed has gone, for the quotes' ranges.
        let mut moved = vec![];
        let mut spans = self.pieces(0..self.text.len()).peekable();
        let mut at = 0;
        while let Some((text, look)) = spans.next() {
            moved.push((at, doc.text.len()));
            at += text.len();
            let Some(number) = look.link.filter(|number| flat(self.link(*number))) else {
                doc.push(text, look);
                continue;
            };
            let mut label = vec![(text, look.marks)];
            while let Some((text, look)) = spans.next_if(|(_, next)| next.link == Some(number)) {
                at += text.len();
                label.push((text, look.marks));
            }
            doc.push_flat_link(&label, self.link(number));
        }
        moved.push((at, doc.text.len()));
        let new_place = |old: usize| {
            let index = moved.partition_point(|(from, _)| *from <= old).saturating_sub(1);
            moved.get(index).map_or(old, |(from, to)| to + (old - from))
        };
        // Links hold no line feeds, so a quote's border never lies inside one.
        doc.quotes = self.quotes.iter().map(|quote| new_place(quote.start)..new_place(quote.end)).collect();
        doc
    }

    fn push_flat_link(&mut self, label: &[(&str, u8)], url: &str) {
        let whole: String = label.iter().map(|(text, _)| *text).collect();
        let marks = label.first().map_or(0, |(_, marks)| *marks);
        if same_link(&whole, url) {
            let shown = if url.starts_with("http") { url } else { whole.trim() };
            self.push(shown, Look { marks, link: None });
            return;
        }
        for (text, marks) in label {
            self.push(text, Look { marks: *marks, link: None });
        }
        self.push(&format!(" ({url})"), Look::default());
    }
}

/// Whether a label only repeats its address: also without scheme and final slash.
pub(super) fn same_link(label: &str, url: &str) -> bool {
    let bare = |text: &str| {
        let text = text.trim();
        let text = ["https://", "http://", "mailto:", "tel:"]
            .iter()
            .find_map(|scheme| {
                text.get(..scheme.len())
                    .filter(|start| start.eq_ignore_ascii_case(scheme))
                    .and_then(|_| text.get(scheme.len()..))
            })
            .unwrap_or(text);
        text.strip_suffix('/').unwrap_or(text).to_owned()
    };
    bare(label) == bare(url)
}

/// Builds a [`Doc`] from opening and closing tags in any order: each mark is a counter, so what is closed wrongly
/// nested simply ends, and what was never opened cannot be closed.
#[derive(Debug, Default)]
pub(super) struct Writer {
    doc: Doc,
    open: [u32; 4],
    /// The link that is open, and where its label starts.
    link: Option<(usize, usize)>,
}

impl Writer {
    /// Appends text in the current look. A link's label stays on one line.
    pub(super) fn text(&mut self, text: &str) {
        let look = Look { marks: self.marks(), link: self.link.map(|(number, _)| number) };
        if look.link.is_some() && text.contains('\n') {
            self.doc.push(&text.replace('\n', " "), look);
        } else {
            self.doc.push(text, look);
        }
    }

    fn marks(&self) -> u8 {
        MARKS.iter().zip(self.open).filter(|(_, count)| *count > 0).fold(0, |marks, (mark, _)| marks | mark)
    }

    /// Starts a mark.
    pub(super) fn open(&mut self, mark: u8) {
        for (_, count) in MARKS.iter().zip(&mut self.open).filter(|(known, _)| **known == mark) {
            *count = count.saturating_add(1);
        }
    }

    /// Ends a mark.
    pub(super) fn close(&mut self, mark: u8) {
        for (_, count) in MARKS.iter().zip(&mut self.open).filter(|(known, _)| **known == mark) {
            *count = count.saturating_sub(1);
        }
    }

    /// Starts a link unless one is open: links do not nest.
    pub(super) fn open_link(&mut self, url: String) {
        if self.link.is_none() {
            let number = self.doc.add_link(url);
            self.link = Some((number, self.doc.text.len()));
        }
    }

    /// Ends the link; one without a label shows its address.
    pub(super) fn close_link(&mut self) {
        let Some((number, start)) = self.link else { return };
        if self.doc.text.len() == start {
            let url = self.doc.link(number).to_owned();
            self.text(&url);
        }
        self.link = None;
    }

    /// Line feed unless the text is at the start of a line already.
    pub(super) fn fresh_line(&mut self) {
        if !self.doc.text.is_empty() && !self.doc.text.ends_with('\n') {
            self.text("\n");
        }
    }

    /// The finished document.
    pub(super) fn finish(mut self) -> Doc {
        self.close_link();
        self.doc
    }
}
