//! Replies as the portal reads them (`portal-box.md` §3.3, `portal-box-observed.md` §3): always a JSON object, results
//! in `DATA`, errors as a list of objects with all four keys, never an empty list when `OK` is false.

use serde_json::{Value, json};

use crate::text;

/// Success with named keys in `DATA`.
pub fn ok(data: &Value) -> Value {
    json!({"OK": true, "DATA": data})
}

/// Success with a single result, which commands of that style look for in `DATA.RESULT`.
pub fn ok_result(result: &Value) -> Value {
    json!({"OK": true, "DATA": {"RESULT": result}})
}

/// One error that the portal can show.
pub fn error(code: &str, message: &str) -> Value {
    json!({"OK": false, "DATA": [], "ERROR": [{"MESSAGE": message, "CODE": code, "METHOD": "", "PARAMS": []}]})
}

/// An address as the portal may print it: its pages put it into attributes and scripts unescaped (`portal-box.md` §10).
/// Quotes, brackets and spaces are percent-encoded, and so is an `&` that could begin an entity; what leads into a script
/// is nothing.
pub fn printable_url(url: &str) -> Option<String> {
    let url = url.trim();
    let safe = match url.split_once(':') {
        // Links of programs follow the same rules as a number to call.
        Some((scheme @ ("skype" | "sms"), rest)) => text::safe_link(&format!("tel:{rest}"))?.replacen("tel", scheme, 1),
        Some(_) => text::safe_link(url)?,
        None if url.contains('@') => text::safe_link(&format!("mailto:{url}"))?,
        None => return None,
    };
    let mut parts = safe.split('&');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // Before `=` no name is taken for an entity.
        let name = part.split_once('=').map_or("", |(name, _)| name);
        let is_pair =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.%".contains(&byte));
        out.push_str(if is_pair { "&" } else { "%26" });
        out.push_str(part);
    }
    Some(out)
}

/// A name or id as the portal may print it; what could be markup is gone.
pub fn printable(text: &str) -> String {
    text::clean_html_value(text)
}

/// A setting as the portal's form may print it. The form sends it back, so an address must stay the same address.
pub fn printable_setting(value: &str) -> String {
    Some(value).filter(|value| value.contains("://")).and_then(printable_url).unwrap_or_else(|| printable(value))
}

/// The key of `infoConnectLink`'s reply for a virtual connector (`portal-box.md` §3.4); none for those without a place in
/// the portal's form.
pub fn link_key(channel: &str) -> Option<&'static str> {
    Some(match channel.split_once('.')?.1 {
        "skype" => "URL_SKYPE",
        "slack" => "URL_SLACK",
        "kik" => "URL_KIK",
        "groupme" => "URL_GROUPME",
        "twilio" => "URL_SMS",
        "webchat" => "URL_WEBCHAT",
        "emailoffice365" => "URL_EMAIL",
        "telegram" => "URL_TELEGRAM",
        "facebookmessenger" => "URL_FACEBOOK",
        "directline" => "URL_DIRECTLINE",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_printed_without_a_way_out_of_their_quotes() {
        for (url, want) in [
            ("https://slack.test/x?a=1&b=2#c", Some("https://slack.test/x?a=1&b=2#c")),
            (" https://slack.test/a b ", Some("https://slack.test/a%20b")),
            ("https://x.test/\"onclick='alert(1)'<b>", Some("https://x.test/%22onclick=%27alert(1)%27%3Cb%3E")),
            ("https://x.test/?a&quot;)&#39;&lt;b&amp=1", Some("https://x.test/?a%26quot;)%26#39;%26lt;b&amp=1")),
            ("shop@example.test", Some("mailto:shop@example.test")),
            ("skype:live:shop?chat", Some("skype:live:shop?chat")),
            ("sms:+15550100", Some("sms:+15550100")),
            ("tel:+15550100", Some("tel:+15550100")),
            ("javascript:alert(1)", None),
            ("JavaScript:alert(1)//@", None),
            ("data:text/html,x", None),
            ("//x.test/", None),
            ("x.test", None),
            ("", None),
        ] {
            assert_eq!(printable_url(url).as_deref(), want, "{url}");
        }
        // Regression: the form showed the address without `&`, and saving it again stored it so.
        assert_eq!(printable_setting("https://slack.test/x?a=1&b=2"), "https://slack.test/x?a=1&b=2");
        assert_eq!(printable_setting("shop@11111111-2222"), "shop@11111111-2222");
        assert_eq!(printable_setting("a\"><script>://x"), "ascript://x");
    }

    #[test]
    fn an_error_is_a_list_with_all_four_keys() {
        let reply = error("LINE_MISSING", "no line");
        assert_eq!(reply["OK"], false);
        for key in ["MESSAGE", "CODE", "METHOD", "PARAMS"] {
            assert!(!reply["ERROR"][0][key].is_null(), "{key}");
        }
        assert_eq!(ok_result(&json!({"a": 1}))["DATA"]["RESULT"]["a"], 1);
    }
}
