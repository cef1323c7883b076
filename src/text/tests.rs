//! The worked pairs of `botframework.md` §6.7, hostile input, and properties of the public functions.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::*;

fn bot(id: &str) -> Recipient {
    Recipient { id: id.to_owned(), name: "Bot".to_owned() }
}

fn mention(id: &str, name: &str) -> Mention {
    Mention { id: id.to_owned(), name: name.to_owned(), text: format!("<at>{name}</at>") }
}

#[test]
fn inbound_pairs_of_the_reference() {
    use Markup::{Plain, Skype, Slack, Teams};
    for (number, markup, text, want) in [
        (1, Plain, "a < b & c &lt;", "a < b & c &lt;"),
        (2, Skype, "<<'>>", "<<'>>"),
        (3, Skype, "<a href=\"http://www.com\">http://www.com</a> &lt;&lt;&apos;&gt;&gt;", "http://www.com <<'>>"),
        (4, Skype, "<a href=\"https://ex.test/?a=1&amp;b=2\">price</a>", "[url=https://ex.test/?a=1&b=2]price[/url]"),
        (5, Skype, "<a href=\"mailto:a@ex.test\">a@ex.test</a>", "a@ex.test"),
        (6, Skype, "<a href=\"javascript:x\">y</a>", "y"),
        (7, Skype, "<ss type=\"hi\">(hi)</ss> there", "👋 there"),
        (8, Skype, "<ss type=\"1f44b_wavinghand\">(wavinghand)</ss>", "👋"),
        (9, Skype, "<ss type=\"mooning\">(mooning)</ss>", "(mooning)"),
        (10, Skype, "option (a) or (b)", "option (a) or (b)"),
        (
            11,
            Skype,
            "<b raw_pre=\"*\" raw_post=\"*\">big</b> <s raw_pre=\"~\" raw_post=\"~\">no</s>",
            "[b]big[/b] [s]no[/s]",
        ),
        (12, Skype, "<b><i>x</b></i>", "[b][i]x[/i][/b]"),
        (13, Skype, "<at id=\"28:bot\">Bot</at> hi", "hi"),
        (14, Skype, "<at id=\"8:anna\">Anna</at>, look", "@Anna, look"),
        (15, Skype, "new text<e_m ts=\"1500000000\" ts_ms=\"1500000000123\" a=\"live:x\" t=\"61\"/>", "new text"),
        (16, Skype, "<flag country=\"de\">(flag:de)</flag>", "🇩🇪"),
        (17, Skype, "<ss type=\"heart\">&lt;3</ss> 1 &lt; 2", "❤ 1 < 2"),
        (18, Skype, "a<br/>b &#128075;", "a\nb 👋"),
        (19, Teams, "<at>Bot</at> hello&nbsp;", "hello"),
        (20, Teams, "<at>Bot</at>: ask <at>Anna</at>", "ask @Anna"),
        (21, Teams, "<at>Bot</at>", "@Bot"),
        (
            22,
            Slack,
            "<https://ex.test|site> &amp; <https://ex.test/a>",
            "[url=https://ex.test]site[/url] & https://ex.test/a",
        ),
        (23, Slack, "<mailto:a@ex.test|a@ex.test> &amp;lt;", "a@ex.test &lt;"),
        (24, Slack, "*b* _i_ ~s~ 2*3*4 snake_case_x", "[b]b[/b] [i]i[/i] [s]s[/s] 2*3*4 snake_case_x"),
        (25, Slack, ":thumbsup::skin-tone-3: :flag-de: :acme: :email:", "👍🏼 🇩🇪 :acme: ✉️"),
        (26, Slack, "<@U024BE7LH> hi <!here> <#C1|general>", "hi @here #general"),
        (27, Plain, "**x** _y_", "**x** _y_"),
        (28, Plain, "one\r\ntwo\r\n\r\n\r\n\r\nthree", "one\ntwo\n\n\nthree"),
    ] {
        let recipient = bot(if markup == Slack { "U024BE7LH:T1" } else { "28:bot" });
        let mentions: &[Mention] =
            if markup == Teams { &[mention("28:bot", "Bot"), mention("29:anna", "Anna")] } else { &[] };
        assert_eq!(to_bbcode(markup, text, &recipient, mentions), want, "pair {number}");
    }
    for markup in [Plain, Skype, Slack, Teams] {
        let text = "one\r\ntwo\r\n\r\n\r\n\r\nthree";
        assert_eq!(to_bbcode(markup, text, &bot("b"), &[]), "one\ntwo\n\n\nthree", "pair 28, {markup:?}");
    }
}

#[test]
fn pair_29_old_portals() {
    assert_eq!(
        to_shortnames("🙂 👍🏽 🇷🇺 🤮 👩‍💻"),
        ":slightly_smiling_face: :+1_tone3: :flag_ru: :nauseated_face: (woman technologist)"
    );
}

#[test]
fn outbound_pairs_of_the_reference() {
    let long_url = "[url=https://ex.test/?a=1&b=2]site[/url]";
    let icon = "[icon=/bitrix/images/emoji/1f642.svg?v=2.2.5 title=:slight_smile:]";
    for (number, text, plain, markdown, xml) in [
        (
            30,
            "[b]Anna Ivanova:[/b][br] Hello",
            "Anna Ivanova:\nHello",
            "**Anna Ivanova:**  \nHello",
            "<b>Anna Ivanova:</b><br/>Hello",
        ),
        (
            31,
            long_url,
            "site (https://ex.test/?a=1&b=2)",
            "[site](https://ex.test/?a=1&b=2)",
            "<a href=\"https://ex.test/?a=1&amp;b=2\">site</a>",
        ),
        (
            32,
            "[url]https://ex.test[/url]",
            "https://ex.test",
            "https://ex.test",
            "<a href=\"https://ex.test\">https://ex.test</a>",
        ),
        (33, "5 < 6 & 7 > 2", "5 < 6 & 7 > 2", "5 \\< 6 & 7 \\> 2", "5 &lt; 6 &amp; 7 &gt; 2"),
        (34, "a_b*c [x]", "a_b*c [x]", "a\\_b\\*c \\[x\\]", "a_b*c [x]"),
        (35, "[i]x[/i] [s]y[/s] [u]z[/u]", "x y z", "*x* ~~y~~ z", "<i>x</i> <s>y</s> <u>z</u>"),
        (36, "[user=5]Anna[/user], ok [like]", "Anna, ok 👍", "Anna, ok 👍", "Anna, ok 👍"),
        (37, icon, "🙂", "🙂", "🙂"),
        (38, "one\n\ntwo\nthree", "one\n\ntwo\nthree", "one\n\ntwo  \nthree", "one<br/><br/>two<br/>three"),
        (39, "[b]x", "[b]x", "\\[b\\]x", "[b]x"),
    ] {
        assert_eq!(print(text, Print::Plain), plain, "pair {number}, plain");
        assert_eq!(print(text, Print::Markdown), markdown, "pair {number}, markdown");
        assert_eq!(print(text, Print::Xml), xml, "pair {number}, xml");
    }
}

#[test]
fn more_printing() {
    use Print::{Markdown, Plain, Slack, TeamsXml, Xml};
    let quoted = format!("{QUOTE_LINE}\nAnna[10:20]\nwhat?\n{QUOTE_LINE}\nthat");
    for (text, how, want) in [
        ("[b] x [/b]", Markdown, " **x** "),
        ("[b][/b]a[i] [/i]b", Markdown, "a b"),
        ("[b]a[i]b[/b]c[/i]", Xml, "<b>a<i>b</i></b><i>c</i>"),
        ("[B]a\n\nb[/B]", Markdown, "**a**\n\n**b**"),
        ("[b]Name:[/b]Hello", Markdown, "Name:Hello"),
        ("a[b]b[/b]c", Slack, "abc"),
        (
            "[b]x[/b] [i]y[/i] [s]z[/s] [url=https://ex.test]t[/url] &<",
            Slack,
            "*x* _y_ ~z~ <https://ex.test|t> &amp;&lt;",
        ),
        ("[s]x[/s] [b]y[/b] \"q\"", TeamsXml, "<strike>x</strike> <strong>y</strong> &quot;q&quot;"),
        ("[url=javascript:x]t[/url]", Xml, "t"),
        ("[url=https://ex.test/a(b)]t[/url]", Markdown, "[t](https://ex.test/a%28b%29)"),
        ("[url=https://ex.test][url=https://b.test]t[/url][/url]", Plain, "t (https://ex.test)"),
        ("[url=https://ex.test/]ex.test[/url]", Plain, "https://ex.test/"),
        ("[url=mailto:a@ex.test]a@ex.test[/url]", Plain, "a@ex.test"),
        ("[url=https://ex.test]a\nb[/url]", Plain, "a b (https://ex.test)"),
        ("[img size=5]https://ex.test/x.png[/img]", Plain, "https://ex.test/x.png"),
        ("see https://ex.test/a_b_c. *", Markdown, "see https://ex.test/a_b_c. \\*"),
        (
            "# a\n- b\n1. c\n2) d\na # b - 1. &copy; & b",
            Markdown,
            "\\# a  \n\\- b  \n1\\. c  \n2\\) d  \na # b - 1. \\&copy; & b",
        ),
        ("a\n===", Markdown, "a  \n\\==="),
        ("    code", Markdown, "   code"),
        (">> hi\n>>ho\nback", Plain, "> hi\n> ho\nback"),
        (">> hi\nback", Markdown, "> hi\n\nback"),
        (">> hi\n>> ho\nback", Xml, "<blockquote>hi<br/>ho</blockquote>back"),
        (">> hi\nback", Slack, ">hi\nback"),
        (quoted.as_str(), Plain, "> Anna[10:20]\n> what?\nthat"),
        ("[code][b]x[/b][/code] [b]y[/b]", Xml, "[b]x[/b] <b>y</b>"),
        ("[code]x", Plain, "[code]x"),
        ("[rating=4] [dislike] [disk=5]", Plain, "4/5 👎 📎"),
        ("[icon=https://ex.test/x.png size=16 title=:fingers_crossed:]", Plain, "🤞"),
        ("[icon=https://ex.test/x.png title=Big smile width=5]", Plain, "Big smile"),
        ("[timestamp=1500000000 format=SHORT]", Plain, "2017-07-14 02:40"),
        ("[color=red]a[/color] [send=/x]b[/send] [call=+1]c[/call] [1] [/q]", Plain, "a b c [1] [/q]"),
        ("a#BR# b[BR]c", Plain, "a\nb\nc"),
    ] {
        assert_eq!(print(text, how), want, "{text} {how:?}");
    }
}

#[test]
fn parts() {
    let paragraphs = format!("{}\n\n{}", "a".repeat(50), "b ".repeat(20));
    assert_eq!(print_parts(&paragraphs, Print::Plain, 64), ["a".repeat(50), "b ".repeat(20).trim().to_owned()]);
    assert_eq!(print_parts("", Print::Plain, 100), Vec::<String>::new());
    assert_eq!(print_parts(" \n[b] [/b]", Print::Xml, 100), Vec::<String>::new());
    assert_eq!(print_parts("short", Print::Plain, 1), ["short"]);
    let bold = format!("[b]{}[/b]", "word ".repeat(40));
    for part in print_parts(&bold, Print::Xml, 64) {
        assert!(part.starts_with("<b>word") && part.ends_with("word</b>"), "{part}");
    }
    let family = "👨‍👩‍👧‍👦".repeat(30);
    for part in print_parts(&family, Print::Plain, 70) {
        assert!(part.chars().count() % 7 == 0, "never inside a grapheme: {part}");
    }
    let zalgo = format!("e{}", "\u{301}".repeat(500));
    assert_eq!(print_parts(&zalgo, Print::Plain, 100).concat(), zalgo);
    let address = format!("[url=https://ex.test/{}]label[/url]", "x".repeat(300));
    assert!(print_parts(&address, Print::Xml, 100).concat().replace(['(', ')'], "").contains(&"x".repeat(30)));
}

/// The portal must read our quote as one, and nothing more than one.
#[test]
fn quote_blocks() {
    let out = quote("Anna\n[x]", "10:20", &format!("one\n{QUOTE_LINE}\n[user=1]two"));
    assert_eq!(out, format!("{QUOTE_LINE}\nAnna (x)[10:20]\none\n---\n［user=1]two\n{QUOTE_LINE}\n"));
    assert_eq!(print(&format!("{out}answer"), Print::Slack), ">Anna (x)[10:20]\n>one\n>---\n>［user=1]two\nanswer");
}

/// `portal-box.md` §10: whatever the way in, no acting tag comes out.
#[test]
fn no_markup_smuggles_a_tag() {
    for (markup, text) in [
        (Markup::Plain, "[user=1]x[/user]"),
        (Markup::Plain, "[us\0er=1]x"),
        (Markup::Teams, "[us<at></at>er=1]x"),
        (Markup::Skype, "<b>&#91;user=1]x</b>"),
        (Markup::Skype, "[<b>user=1]x</b>"),
        (Markup::Skype, "[us<e_m/>er=1]x"),
        (Markup::Skype, "<a href=\"https://ex.test/][user=1\">x</a>"),
        (Markup::Skype, "<quote authorname=\"[user=1]\">x</quote>"),
        (Markup::Slack, "<https://ex.test/][user=1]|x>"),
        (Markup::Slack, "[<!user=1>]"),
        (Markup::Slack, "[us*er=1]* [*send=1]*"),
    ] {
        let out = to_bbcode(markup, text, &bot("b"), &[]).to_lowercase();
        for tag in ["[user", "[send"] {
            assert!(!out.contains(tag), "{text} → {out}");
        }
    }
}

/// Pieces of which hostile texts are made.
const PIECES: &[&str] = &[
    "[",
    "]",
    "[b]",
    "[i]",
    "[/b]",
    "[/i]",
    "[url]",
    "[/url]",
    "[url=https://a.b]",
    "[user=1]",
    "[/user]",
    "[code]",
    "[icon=x title=y]",
    "[br]",
    "#BR#",
    ">>",
    "<",
    ">",
    "<b>",
    "</b>",
    "<a \"",
    "<a href=\"https://a.b\">",
    "</a>",
    "<at>",
    "</at>",
    "<ss type=\"",
    "<ss type=\"hi\">",
    "<quote>",
    "</quote>",
    "<script>",
    "<URIObject>",
    "<contacts>",
    "&",
    "&#",
    "&amp;",
    "&#91;",
    "*",
    "_",
    "~",
    "`",
    "```",
    ":",
    ":smile:",
    "(",
    "(wave)",
    "\n",
    "\r",
    " ",
    "\t",
    "a",
    "word",
    "😀",
    "👍🏽",
    "👩‍💻",
    "🇩",
    "🇩🇪",
    "é",
    "e\u{301}",
    "\u{200D}",
    "\u{FE0F}",
    "\u{0}",
    "\u{A0}",
    "http://",
    "\\",
    "<https://a.b|c>",
    "<@U1>",
    "- ",
    "1.",
    "𠀋",
];

/// What every text has to go through.
fn everything(text: &str, mentions: &[Mention]) {
    for markup in [Markup::Plain, Markup::Teams, Markup::Skype, Markup::Slack] {
        to_bbcode(markup, text, &bot("b"), mentions);
    }
    for how in FORMS {
        print(text, how);
    }
    print_parts(text, Print::TeamsXml, 1_000);
    to_shortnames(text);
    clean_name(text, 50);
    clean_html_value(text);
    file_name(Some(text), None);
    safe_link(text);
    quote(text, text, text);
}

const FORMS: [Print; 5] = [Print::Plain, Print::Markdown, Print::Xml, Print::TeamsXml, Print::Slack];

#[expect(clippy::disallowed_methods, reason = "this is about time itself")]
fn assert_fast(text: &str, limit: Duration) {
    let mentions: Vec<Mention> = (0..1_000).map(|_| mention("b", "a")).collect();
    let before = std::time::Instant::now();
    everything(text, &mentions);
    let taken = before.elapsed();
    assert!(taken < limit, "{:?}… took {taken:?}", text.chars().take(20).collect::<String>());
}

/// Linear time and no recursion. The limits are for unoptimised builds on busy machines; an optimised build takes
/// less than half a second for a megabyte of the worst.
#[test]
fn hostile_input_is_read_in_time() {
    for piece in PIECES {
        assert_fast(&piece.repeat(8_000 / piece.len()), Duration::from_secs(5));
    }
    for (open, close) in [("[b]", "[/b]"), ("[url]", "[/url]"), ("[z]", "[/z]"), ("<b>", "</b>"), ("<ss>", "</ss>")] {
        assert_fast(&format!("{}x{}", open.repeat(1_000), close.repeat(1_000)), Duration::from_secs(5));
    }
    assert_fast(&format!("{QUOTE_LINE}\n").repeat(200), Duration::from_secs(5));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "this is about time itself")]
fn a_hostile_megabyte_is_read_in_time() {
    let recipient = bot("b");
    for (piece, markup) in
        [("[b][b]", Markup::Plain), ("[url=", Markup::Plain), ("<b>", Markup::Skype), ("[[[[", Markup::Slack)]
    {
        let text = piece.repeat(1_000_000 / piece.len());
        let before = std::time::Instant::now();
        to_bbcode(markup, &text, &recipient, &[]);
        print(&text, Print::TeamsXml);
        let taken = before.elapsed();
        assert!(taken < Duration::from_secs(20), "{piece} took {taken:?}");
    }
}

/// Runs `check` on texts of [`PIECES`] and on arbitrary ones, the same in every run.
fn for_texts(check: impl Fn(&str) -> Result<(), TestCaseError>) {
    let pieces = proptest::collection::vec(proptest::sample::select(PIECES), 0..40).prop_map(|pieces| pieces.concat());
    let any = proptest::collection::vec(any::<char>(), 0..60).prop_map(|chars| chars.into_iter().collect::<String>());
    let config = Config { cases: 400, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    runner.run(&prop_oneof![3 => pieces, 1 => any], |text| check(&text)).unwrap();
}

#[test]
fn nothing_panics() {
    for_texts(|text| {
        everything(text, &[mention("b", "word"), mention("c", "a")]);
        Ok(())
    });
}

#[test]
fn neutralised_text_stays_so_and_has_no_acting_tag() {
    for_texts(|text| {
        let once = neutralise(text);
        prop_assert_eq!(&neutralise(&once), &once);
        let squeezed: String = once.chars().filter(|char| !char.is_control()).collect();
        prop_assert!(!squeezed.contains("[user") && !squeezed.contains("[icon"), "{}", once);
        Ok(())
    });
}

/// What was neutralised is text for the way back too.
#[test]
fn neutralised_tags_are_printed_as_they_are() {
    for tag in [
        "[user=1]x[/user]",
        "[send=/a]b[/send]",
        "[icon=x title=y]",
        "[like]",
        "[rating=5]",
        "[disk=1]",
        "[call=1]x[/call]",
    ] {
        let out = neutralise(tag);
        assert_eq!(print(&out, Print::Plain), out);
    }
}

#[test]
fn links_stay_safe_links() {
    for_texts(|text| {
        let link = safe_link(&format!("https://ex.test/{text}")).unwrap();
        prop_assert_eq!(safe_link(&link), Some(link.clone()));
        prop_assert!(!link.contains(['[', ']', '"', '\'', '<', '>', ' ', '\n']), "{}", link);
        let tag = format!("[url={link}]x[/url]");
        prop_assert_eq!(neutralise(&tag), tag);
        Ok(())
    });
}

#[test]
fn short_names_leave_the_basic_plane_only() {
    for_texts(|text| {
        prop_assert!(to_shortnames(text).chars().all(|char| char.len_utf16() == 1));
        Ok(())
    });
}

#[test]
fn names_and_file_names_keep_their_limits() {
    for_texts(|text| {
        prop_assert!(clean_name(text, 20).chars().count() <= 20);
        let name = file_name(Some(text), Some("image/png")).unwrap();
        prop_assert!(name.chars().count() <= 100 && !name.contains(['/', '\\', '\n', '\0']), "{}", name);
        Ok(())
    });
}

#[test]
fn parts_keep_the_limit_and_every_word() {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    for_texts(|text| {
        let text = text.repeat(5);
        for how in FORMS {
            for max in [64, 100, 300] {
                for part in print_parts(&text, how, max) {
                    prop_assert!(part.encode_utf16().count() <= max, "{:?} {}: {}", how, max, part);
                }
            }
        }
        // Cut words are put together again by comparing letters only.
        let parts = print_parts(&text, Print::Plain, 64).concat();
        let whole = print(&text, Print::Plain);
        if !whole.contains("> ") && !whole.starts_with('>') {
            prop_assert_eq!(words(&parts).concat(), words(&whole).concat());
        }
        Ok(())
    });
}

/// Well-formed XML: every tag that is opened is closed, in order.
#[test]
fn xml_is_well_formed() {
    for_texts(|text| {
        for part in std::iter::once(print(text, Print::TeamsXml)).chain(print_parts(text, Print::Xml, 64)) {
            let mut open = vec![];
            for token in html::tokens(&part) {
                match token {
                    html::Token::Open { name, empty: false, .. } => open.push(name),
                    html::Token::Close(name) => prop_assert_eq!(open.pop(), Some(name), "{}", part),
                    html::Token::Text(text) => prop_assert!(!text.contains(['<', '>']), "{}", part),
                    html::Token::Open { .. } => (),
                }
            }
            prop_assert!(open.is_empty(), "{}", part);
        }
        Ok(())
    });
}
