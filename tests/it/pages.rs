//! The operators' desk and the customer's chat in a real browser, with mouse and keyboard. Left out, and said so, where
//! there is no Chromium.

use std::sync::Arc;

use trunkline::clock::{Clock, SystemClock};
use trunkline::demo::Demo;
use trunkline::secret::Secret;

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

/// Opens a desk and comes in as that operator, who has no password there.
fn desk(browser: &mut Browser, url: &str, width: u32, operator: u32) -> Page {
    let page = browser.open(url, width);
    let who = format!("[data-operator='{operator}']");
    browser.until(&page, &format!("document.querySelector({who:?})"));
    browser.click(&page, &who);
    browser.until(&page, "document.querySelector('#me').innerText.length > 0");
    page
}

fn demo(start: impl FnOnce(&Arc<dyn Clock>) -> Demo) -> Demo {
    start(&(Arc::new(SystemClock::new()) as Arc<dyn Clock>))
}

#[test]
fn a_conversation_on_both_pages() {
    let Some(mut browser) = Browser::start() else { return };
    let demo = demo(|clock| Demo::start(clock, 0, "20.0.75").unwrap());
    let chat = browser.open(demo.bot.url(), 1100);
    let desk_page = desk(&mut browser, demo.portal.url(), 1100, 1);
    browser.until(&desk_page, "document.body.innerText.includes('Quiet so far')");

    // The customer writes, at Teams, with an emoji from the picker.
    browser.eval(&chat, "document.querySelector('#channel').value = 'msteams'");
    browser.click(&chat, "#form button");
    browser.click(&chat, "#write [data-do=emoji]");
    browser.until(&chat, "document.querySelector('.emoji:not(.hidden) [data-emoji]')");
    browser.press(&chat, "Escape");
    browser.click(&chat, "#write textarea");
    browser.write(&chat, "Is the blue one in stock? <b>& ");
    browser.click(&chat, "#write [data-do=emoji]");
    browser.click(&chat, "[data-emoji='🙂']");
    browser.press(&chat, "Enter");
    browser.until(&chat, &format!("{}?.innerText.includes('Sent')", bubble("blue one")));

    // It waits, unread, for whoever comes first; the title says so.
    browser.until(&desk_page, "document.querySelector('.entry[data-state=waiting] [data-unread=\"1\"]')");
    browser.until(&desk_page, "document.title.startsWith('(1)')");
    browser.click(&desk_page, ".entry");
    browser.until(&desk_page, &format!("{}?.innerText.includes('<b>& 🙂')", bubble("blue one")));
    browser.until(&desk_page, "!document.querySelector('[data-unread]')");

    // The operator answers, which takes it; the mark comes, and the customer sees name and bold type.
    say(&mut browser, &desk_page, "Yes, [b]three[/b] are left: https://shop.example.test/blue");
    browser.until(&desk_page, &format!("{}?.querySelector('[data-mark=delivered]')", bubble("three")));
    browser.until(&desk_page, "document.querySelector('.entry[data-state=taken]')");
    let bold =
        "[...document.querySelectorAll('.bubble strong')].map(one => one.innerText).join() === 'Anna Ivanova:,three'";
    browser.until(&chat, bold);
    browser.until(&chat, "document.querySelector('.bubble a').href === 'https://shop.example.test/blue'");

    // A file link; what is no link stays text.
    browser.click(&desk_page, "#write [data-do=file]");
    browser.write(&desk_page, "https://files.example.test/prices%202026.pdf");
    browser.press(&desk_page, "Enter");
    browser.until(&desk_page, "document.querySelector('.bubble .file')?.innerText.includes('prices 2026.pdf')");
    browser.until(&chat, "document.querySelector('.bubble a[href$=\"prices%202026.pdf\"]')");
    browser.until(&desk_page, "document.querySelectorAll('[data-mark=delivered]').length === 2");

    // Both edit; Escape leaves a message as it was.
    let first = "[data-author=operator]";
    browser.point(&desk_page, first);
    browser.click(&desk_page, &format!("{first} [data-do=edit]"));
    browser.until(&desk_page, "document.querySelector('#write textarea').value.startsWith('Yes, [b]three')");
    browser.press(&desk_page, "Escape");
    browser.until(&desk_page, "document.querySelector('#write textarea').value === ''");
    browser.point(&desk_page, first);
    browser.click(&desk_page, &format!("{first} [data-do=edit]"));
    browser.eval(&desk_page, "document.querySelector('#write textarea').select()");
    browser.write(&desk_page, "Yes, four are left.");
    browser.press(&desk_page, "Enter");
    browser.until(&chat, &format!("{}?.innerText.includes('edited')", bubble("four are left")));
    browser.point(&chat, ".bubble.mine");
    browser.click(&chat, ".bubble.mine [data-do=edit]");
    browser.eval(&chat, "document.querySelector('#write textarea').select()");
    browser.write(&chat, "Is the green one in stock?");
    browser.press(&chat, "Enter");
    browser.until(&desk_page, &format!("{}?.innerText.includes('edited')", bubble("green one")));

    // Deleting asks once more.
    browser.point(&desk_page, first);
    browser.click(&desk_page, &format!("{first} [data-do=delete]"));
    browser.until(&desk_page, "document.querySelector('.bubble .bad')?.innerText === 'Delete for both?'");
    browser.click(&desk_page, &format!("{first} [data-do=delete]"));
    browser.until(&desk_page, "document.querySelector('.bubble.mine.gone')");
    browser.until(&chat, "document.querySelector('.bubble:not(.mine).gone')");
    assert!(browser.complaints.is_empty(), "{:#?}", browser.complaints);
    demo.app.stop();
}

/// Two operators: one hands over, the other closes, the customer begins anew.
#[test]
fn a_conversation_changes_hands() {
    let Some(mut browser) = Browser::start() else { return };
    let demo = demo(|clock| Demo::start(clock, 0, "23.100.0").unwrap());
    let anna = desk(&mut browser, demo.portal.url(), 1440, 1);
    let mut other = Browser::start().unwrap();
    let peter = desk(&mut other, demo.portal.url(), 1440, 2);
    demo.bot.say("webchat", "Ben", "Hello", None).unwrap();
    browser.until(&anna, "document.querySelector('.entry')");
    browser.click(&anna, ".entry");
    browser.click(&anna, "#head [data-do=take]");
    browser.until(&anna, "document.querySelector('.entry[data-state=taken]')");
    browser.click(&anna, "[data-do=transfer]");
    browser
        .until(&anna, "[...document.querySelectorAll('[role=menuitem]')].some(one => one.innerText.includes('Peter'))");
    browser.eval(
        &anna,
        "[...document.querySelectorAll('[role=menuitem]')].find(one => one.innerText.includes('Peter')).click()",
    );
    browser.until(&anna, "document.querySelector('#held')?.innerText.includes('Peter Orlov holds')");
    other.until(&peter, "document.querySelector('.entry[data-state=taken]')");
    other.click(&peter, ".entry");
    say(&mut other, &peter, "This is Peter.");
    other.until(&peter, "document.querySelector('[data-mark=delivered]')");
    // Web Chat neither edits nor deletes, so nothing offers it.
    assert_eq!(
        other.eval(&peter, "document.querySelector('[data-do=edit], [data-do=delete]')"),
        serde_json::Value::Null
    );
    other.click(&peter, "#head [data-do=close]");
    other.until(&peter, "document.querySelector('.entry[data-state=closed]')");
    demo.bot.say("webchat", "Ben", "One more thing", None).unwrap();
    other.until(&peter, "document.querySelector('.entry[data-state=waiting]')");
    for one in [&browser, &other] {
        assert!(one.complaints.is_empty(), "{:#?}", one.complaints);
    }
    demo.app.stop();
}

/// Goes through the wizard as an administrator does who has the bot's page open beside it. Gives the webhook address.
fn connect(browser: &mut Browser, page: &Page, demo: &Demo) -> String {
    if browser.eval(page, "Boolean(document.querySelector('[data-step=\"2\"]'))") == true {
        browser.click(page, "[data-do=step-back]");
    }
    let (app_id, secret) = demo.bot_keys();
    for (field, text) in [("#bot_handle", "shop-bot"), ("#app_id", app_id), ("#app_secret", secret.reveal())] {
        browser.click(page, field);
        browser.write(page, text);
    }
    browser.click(page, "#save");
    browser.until(page, "document.querySelector('[data-step=\"2\"] #webhook')?.value.includes('/imwebhook/')");
    let webhook = browser.eval(page, "document.querySelector('#webhook').value").as_str().unwrap().to_owned();
    demo.bot.set_webhook(&webhook);
    browser.click(page, "[data-do=step-next]");
    browser.click(page, "[data-do=step-skip]");
    browser.click(page, "#test");
    browser.until(page, "document.querySelector('#connected[data-connected=yes]')");
    webhook
}

/// Goes to the settings and adds the line, where there is none yet.
fn open_line(browser: &mut Browser, page: &Page, line: &str) {
    browser.click(page, "[data-do=settings]");
    browser.until(page, "document.querySelector('[data-do=line-new]')");
    browser.click(page, "[data-do=line-new]");
    browser.click(page, "#new-line");
    browser.write(page, line);
    browser.press(page, "Enter");
    browser.until(page, "document.querySelector('#bot_handle, #webhook')");
}

/// The wizard: a bot is connected step by step, a wrong secret is said in words; then another portal takes the bot, and
/// the first desk shows the warning and takes it back.
#[test]
fn the_wizard_connects_a_bot_that_another_portal_then_takes() {
    let Some(mut browser) = Browser::start() else { return };
    for version in ["17.0.14", "20.0.75"] {
        let demo = demo(|clock| Demo::unconnected(clock, 0, version).unwrap());
        let page = desk(&mut browser, demo.portal.url(), 1440, 1);
        open_line(&mut browser, &page, "5");
        let webhook = connect(&mut browser, &page, &demo);
        demo.bot.say("msteams", "Ben", "Hello", None).unwrap();
        browser.until(&page, "document.querySelector('.entry')");
        browser.click(&page, ".entry");
        browser.until(&page, &bubble("Hello"));

        // Another portal connects the same bot.
        let second = demo.add_portal("second", version).unwrap();
        let (app_id, secret) = demo.bot_keys();
        second.connect_bot("1", "shop-bot", app_id, secret.reveal()).unwrap();
        browser.until(&page, "document.querySelector('#attention').checkVisibility()");
        browser.click(&page, "[data-do=attention]");
        browser.until(&page, "document.querySelector('#attention-card')");
        // The server has forgotten the bot's keys here, and the address that led here.
        assert_eq!(browser.eval(&page, "document.querySelector('#take-back')"), serde_json::Value::Null);
        let again = connect(&mut browser, &page, &demo);
        assert_ne!(again, webhook, "{version}");
        browser.until(&page, "!document.querySelector('#attention').checkVisibility()");
        assert!(
            second.wait(std::time::Duration::from_secs(10), |_| second.is_deactivated()),
            "now the other is warned"
        );
        assert!(browser.complaints.is_empty(), "{version}: {:#?}", browser.complaints);
        demo.app.stop();
    }
}

/// A secret that Microsoft does not know is said in words, and the form is left as it was typed.
#[test]
fn a_wrong_secret_is_said_in_words() {
    let Some(mut browser) = Browser::start() else { return };
    let demo = demo(|clock| Demo::unconnected(clock, 0, "20.0.75").unwrap());
    let page = desk(&mut browser, demo.portal.url(), 1440, 1);
    open_line(&mut browser, &page, "5");
    for (field, text) in [("#bot_handle", "shop-bot"), ("#app_id", demo.bot_keys().0), ("#app_secret", "wrong")] {
        browser.click(&page, field);
        browser.write(&page, text);
    }
    browser.click(&page, "#save");
    browser.until(&page, "document.querySelector('[data-step=\"2\"]')");
    browser.click(&page, "[data-do=step-next]");
    browser.click(&page, "[data-do=step-skip]");
    browser.click(&page, "#test");
    browser.until(&page, "document.querySelector('[data-error]:not([hidden])')?.innerText.includes('secret')");
    assert_eq!(browser.eval(&page, "document.querySelector('#connected').dataset.connected"), "no");
    demo.app.stop();
}

/// On a telephone one thing at a time, and nothing wider than the screen.
#[test]
fn a_telephone_shows_one_thing_at_a_time() {
    let Some(mut browser) = Browser::start() else { return };
    let demo = demo(|clock| Demo::start(clock, 0, "20.0.75").unwrap());
    demo.bot.say("msteams", "Ben", &"A long message without any end. ".repeat(20), None).unwrap();
    let narrow = "document.documentElement.scrollWidth <= innerWidth";
    let page = desk(&mut browser, demo.portal.url(), 380, 1);
    browser.until(&page, "document.querySelector('.entry')?.checkVisibility()");
    assert_eq!(browser.eval(&page, "document.querySelector('#talk').checkVisibility()"), false);
    assert_eq!(browser.eval(&page, narrow), true);
    browser.click(&page, ".entry");
    browser.until(&page, "document.querySelector('.bubble')?.checkVisibility()");
    assert_eq!(browser.eval(&page, "document.querySelector('.entry').checkVisibility()"), false);
    assert_eq!(browser.eval(&page, narrow), true);
    browser.click(&page, "#head [data-do=back]");
    browser.until(&page, "document.querySelector('.entry').checkVisibility()");
    let chat = browser.open(demo.bot.url(), 380);
    browser.until(&chat, "document.querySelector('#form').checkVisibility()");
    assert_eq!(browser.eval(&chat, narrow), true);
    assert!(browser.complaints.is_empty(), "{:#?}", browser.complaints);
    demo.app.stop();
}

/// Without a mouse: in, to the conversation, answer, and on to the next one.
#[test]
fn the_desk_works_by_keyboard() {
    let Some(mut browser) = Browser::start() else { return };
    let demo = demo(|clock| Demo::start(clock, 0, "20.0.75").unwrap());
    demo.bot.say("msteams", "Ann", "Hello from Ann", None).unwrap();
    demo.bot.say("msteams", "Ben", "Hello from Ben", None).unwrap();
    let page = browser.open(demo.portal.url(), 1440);
    browser.until(&page, "document.querySelector('[data-operator]')");
    browser.eval(&page, "document.querySelector('[data-operator]').focus()");
    browser.press(&page, "Enter");
    browser.until(&page, "document.querySelectorAll('.entry').length === 2");
    browser.eval(&page, "document.querySelector('.entry').focus()");
    browser.press(&page, "Enter");
    browser.until(&page, &bubble("Hello from Ben"));
    browser.eval(&page, "document.querySelector('#write textarea').focus()");
    browser.write(&page, "By keyboard");
    browser.press(&page, "Enter");
    browser.until(&page, &format!("{}?.querySelector('[data-mark=delivered]')", bubble("By keyboard")));
    browser.press(&page, "Escape");
    browser.eval(&page, "document.activeElement.blur()");
    browser.press(&page, "j");
    browser.until(&page, &bubble("Hello from Ann"));
    assert!(browser.complaints.is_empty(), "{:#?}", browser.complaints);
    demo.app.stop();
}

/// Holds the answers of an address back until `release()`, which waits for the page to have made something of them.
fn hold(browser: &mut Browser, page: &Page, address: &str) {
    let script = format!(
        "(() => {{
            const ask = window.fetch;
            const gate = new Promise((open) => {{ window.open_gate = open; }});
            window.held = 0;
            window.fetch = async (path, how) => {{
                const answer = await ask(path, how);
                if (!String(path).includes({address:?})) return answer;
                window.held += 1;
                await gate;
                return answer;
            }};
            window.release = async () => {{
                window.fetch = ask;
                window.open_gate();
                for (let frame = 0; frame < 10; frame += 1) await new Promise(requestAnimationFrame);
                return true;
            }};
        }})()"
    );
    browser.eval(page, &script);
}

/// What comes late is for the line and the tab that it was asked for.
#[test]
fn a_late_answer_disturbs_no_other_settings() {
    let Some(mut browser) = Browser::start() else { return };
    let demo = demo(|clock| Demo::unconnected(clock, 0, "20.0.75").unwrap());
    let page = desk(&mut browser, demo.portal.url(), 1440, 1);
    open_line(&mut browser, &page, "5");
    let (app_id, secret) = demo.bot_keys();
    for (field, text) in [("#bot_handle", "shop-bot"), ("#app_id", app_id), ("#app_secret", secret.reveal())] {
        browser.click(&page, field);
        browser.write(&page, text);
    }
    hold(&mut browser, &page, "channel/save");
    browser.click(&page, "#save");
    browser.until(&page, "window.held === 1");
    browser.click(&page, "[data-tab=rules]");
    browser.until(&page, "document.querySelector('#welcome')");
    browser.eval(&page, "release()");
    assert_eq!(browser.eval(&page, "Boolean(document.querySelector('#welcome'))"), true, "the rules are left alone");
    assert_eq!(browser.eval(&page, "Boolean(document.querySelector('#webhook'))"), false);

    // The channel of a line whose answer comes when its rules are shown already.
    hold(&mut browser, &page, "desk/channel?");
    browser.click(&page, "[data-tab=channel]");
    browser.until(&page, "window.held === 1");
    browser.click(&page, "[data-tab=rules]");
    browser.until(&page, "document.querySelector('#welcome')");
    browser.eval(&page, "release()");
    assert_eq!(browser.eval(&page, "Boolean(document.querySelector('#welcome'))"), true, "and here too");
    assert!(browser.complaints.is_empty(), "{:#?}", browser.complaints);
    demo.app.stop();
}

/// What is written while a message is on its way is another draft.
#[test]
fn nothing_typed_is_lost_while_a_message_is_on_its_way() {
    let Some(mut browser) = Browser::start() else { return };
    let demo = demo(|clock| Demo::start(clock, 0, "20.0.75").unwrap());
    for user in ["Ann", "Ben"] {
        demo.bot.say("msteams", user, "Hello", None).unwrap();
    }
    let page = desk(&mut browser, demo.portal.url(), 1440, 1);
    browser.until(&page, "document.querySelectorAll('.entry').length === 2");
    let open = |browser: &mut Browser, nth: u32| {
        browser.click(&page, &format!("#list > :nth-child({nth})"));
        browser.until(&page, &format!("document.querySelector('#list > :nth-child({nth})').ariaCurrent === 'true'"));
        browser.until(&page, &bubble("Hello"));
    };
    open(&mut browser, 2);
    browser.click(&page, "#write textarea");
    browser.write(&page, "First");
    hold(&mut browser, &page, "desk/say");
    browser.press(&page, "Enter");
    browser.until(&page, "window.held === 1");
    browser.write(&page, " and second");
    // Saying something brought that conversation to the top.
    browser.until(&page, "document.querySelector('#list > :nth-child(1)').ariaCurrent === 'true'");
    open(&mut browser, 2);
    browser.eval(&page, "release()");
    assert_eq!(browser.eval(&page, "document.querySelector('#write textarea').value"), "");
    open(&mut browser, 1);
    assert_eq!(browser.eval(&page, "document.querySelector('#write textarea').value"), "First and second");
    assert!(browser.complaints.is_empty(), "{:#?}", browser.complaints);
    demo.app.stop();
}

/// The line is connected elsewhere in the desk while somebody goes through its form, and the form asks what is new.
#[test]
fn what_is_being_typed_into_settings_stays() {
    let Some(mut browser) = Browser::start() else { return };
    let demo = demo(|clock| Demo::unconnected(clock, 0, "20.0.75").unwrap());
    let page = desk(&mut browser, demo.portal.url(), 1440, 1);
    open_line(&mut browser, &page, "5");
    hold(&mut browser, &page, "desk/channel?");
    let (app_id, secret) = demo.bot_keys();
    demo.portal.connect_bot("5", "shop-bot", app_id, secret.reveal()).unwrap();
    browser.until(&page, "window.held === 1");
    browser.click(&page, "#tenant");
    browser.write(&page, "mine");
    browser.eval(&page, "release()");
    assert_eq!(browser.eval(&page, "document.activeElement.value"), "mine");
    assert!(browser.complaints.is_empty(), "{:#?}", browser.complaints);
    demo.app.stop();
}

/// Who listens to the page hears which of the passwords is asked for.
#[test]
fn one_operator_at_a_time_is_at_the_door() {
    let Some(mut browser) = Browser::start() else { return };
    let demo = demo(|clock| Demo::unconnected(clock, 0, "20.0.75").unwrap());
    for name in ["Eve", "Max"] {
        demo.portal.office().add_operator(name, Some(&Secret::new("secret"))).unwrap();
    }
    let page = browser.open(demo.portal.url(), 1440);
    let open = |browser: &mut Browser| {
        let all = "[...document.querySelectorAll('.door-who')].map(one => one.ariaExpanded)";
        browser.eval(&page, all)
    };
    for (operator, expanded) in [(3, ["true", "false"]), (4, ["false", "true"]), (4, ["false", "false"])] {
        let who = format!("[data-operator='{operator}']");
        browser.until(&page, &format!("document.querySelector({who:?})"));
        browser.click(&page, &who);
        let [third, fourth] = expanded;
        assert_eq!(open(&mut browser), serde_json::json!([null, null, third, fourth]));
    }
    demo.app.stop();
}
