//! Replies as the portal reads them (`portal-box.md` §3.3, `portal-box-observed.md` §3): always a JSON object, results
//! in `DATA`, errors as a list of objects with all four keys, never an empty list when `OK` is false.

use serde_json::{Value, json};

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
    fn an_error_is_a_list_with_all_four_keys() {
        let reply = error("LINE_MISSING", "no line");
        assert_eq!(reply["OK"], false);
        for key in ["MESSAGE", "CODE", "METHOD", "PARAMS"] {
            assert!(!reply["ERROR"][0][key].is_null(), "{key}");
        }
        assert_eq!(ok_result(&json!({"a": 1}))["DATA"]["RESULT"]["a"], 1);
    }
}
