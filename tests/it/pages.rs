//! The demo's two pages in a real browser, with mouse and keyboard: everything that the README shows. Left out, and said
//! so, where there is no Chromium.

use std::sync::Arc;

use trunkline::clock::{Clock, SystemClock};
use trunkline::demo::Demo;

use crate::support::browser::{Browser, Page};

/// The message with these words, as an element.
fn bubble(words: &str) -> String {
    format!("[...document.querySelectorAll('.bubble')].find(one => one.innerText.includes({words:?}))")
}

/// Writes in the open conversation and sends with Enter.
fn say(browser: &mut Browser, page: &Page, words: &str) {
    browser.click(page, "#write textarea");
    browser.write(page, words);
    browser.press(page, "Enter");
}

#[test]
fn a_conversation_on_both_pages() {
    let Some(mut browser) = Browser::start() else { return };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let demo = Demo::start(&clock, 0, "20.0.75").unwrap();
    let chat = browser.open(demo.bot.url(), 1100);
    let desk = browser.open(demo.portal.url(), 1100);
    browser.until(&desk, "document.body.innerText.includes('Quiet so far')");

    // The customer writes, with an emoji from the picker.
    browser.click(&chat, "#form button");
    browser.click(&chat, "#write [aria-label=Emoji]");
    browser.until(&chat, "document.querySelector('.emoji:not(.hidden)')");
    browser.click(&chat, "#write textarea");
    browser.write(&chat, "Is the blue one in stock? <b>& ");
    browser.click(&chat, ".emoji button");
    browser.press(&chat, "Enter");
    browser.until(&chat, &format!("{}?.innerText.includes('✓ Sent')", bubble("blue one")));
    browser.until(&desk, &format!("{}?.innerText.includes('<b>& 🙂')", bubble("blue one")));

    // The operator answers; the mark comes, and the customer sees name and bold type.
    say(&mut browser, &desk, "Yes, [b]three[/b] are left: https://shop.example.test/blue");
    browser.until(&desk, &format!("{}?.innerText.includes('✓ Delivered')", bubble("three")));
    let bold =
        "[...document.querySelectorAll('.bubble strong')].map(one => one.innerText).join() === 'Anna Ivanova:,three'";
    browser.until(&chat, bold);
    browser.until(&chat, "document.querySelector('.bubble a').href === 'https://shop.example.test/blue'");

    // A file link; what is no link stays text.
    browser.click(&desk, "#write [aria-label='File link']");
    browser.write(&desk, "https://files.example.test/prices%202026.pdf");
    browser.press(&desk, "Enter");
    browser.until(&desk, "document.querySelector('.bubble .file')?.innerText === 'prices 2026.pdf'");
    browser.until(&chat, "document.querySelector('.bubble a[href$=\"prices%202026.pdf\"]')");

    // Both edit; Escape leaves a message as it was. The last mark would move the message under the mouse.
    browser.until(&desk, "document.body.innerText.split('✓ Delivered').length === 3");
    browser.click(&desk, ".bubble.mine .actions button");
    browser.until(&desk, "document.querySelector('#write textarea').value.startsWith('Yes, [b]three')");
    browser.press(&desk, "Escape");
    browser.until(&desk, "document.querySelector('#write textarea').value === ''");
    browser.click(&desk, ".bubble.mine .actions button");
    browser.eval(&desk, "document.querySelector('#write textarea').select()");
    browser.write(&desk, "Yes, four are left.");
    browser.press(&desk, "Enter");
    browser.until(&chat, &format!("{}?.innerText.includes('edited')", bubble("four are left")));
    browser.click(&chat, ".bubble.mine .actions button");
    browser.eval(&chat, "document.querySelector('#write textarea').select()");
    browser.write(&chat, "Is the green one in stock?");
    browser.press(&chat, "Enter");
    browser.until(&desk, &format!("{}?.innerText.includes('edited')", bubble("green one")));

    // Deleting asks once more.
    browser.click(&desk, ".bubble.mine .actions button + button");
    browser.until(&desk, "document.querySelector('.bubble.mine .bad')?.innerText === 'Delete for both?'");
    browser.click(&desk, ".bubble.mine .actions button + button");
    browser.until(&desk, "document.querySelector('.bubble.mine.gone')");
    browser.until(&chat, "document.querySelector('.bubble:not(.mine).gone')");

    // On a telephone one thing at a time, and nothing wider than the screen.
    for (url, first) in [(demo.bot.url(), "#form"), (demo.portal.url(), "#list button")] {
        let phone = browser.open(url, 380);
        browser.until(&phone, "document.querySelector('#list button')");
        browser.until(&phone, &format!("document.querySelector({first:?}).checkVisibility()"));
        assert_eq!(browser.eval(&phone, "document.querySelector('#talk').checkVisibility()"), false);
        browser.click(&phone, "#list button");
        browser.until(&phone, "document.querySelector('.bubble').checkVisibility()");
        assert_eq!(browser.eval(&phone, "document.documentElement.scrollWidth <= innerWidth"), true);
        browser.click(&phone, ".back");
        browser.until(&phone, "document.querySelector('#list button').checkVisibility()");
    }
    assert!(browser.complaints.is_empty(), "{:#?}", browser.complaints);
    demo.app.stop();
}
