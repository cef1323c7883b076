//! A headless Chromium, driven over its debugging pipe: one JSON message after another, each ended by a zero byte.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use serde_json::{Value, json};

use super::comes_true;

/// The longest a test may need one.
const LIFE: Duration = Duration::from_secs(120);

/// A running browser; killed when dropped.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    last: u64,
    /// What pages complained of: exceptions, refused addresses, warnings.
    pub complaints: Vec<String>,
    /// Its end calls the watchman off.
    _watched: Sender<()>,
    _folder: tempfile::TempDir,
}

/// One open page.
#[derive(Clone, Debug)]
pub struct Page(String);

impl Browser {
    /// Starts one; `None`, and said so, where there is none.
    pub fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let profile = format!("--user-data-dir={}", folder.path().display());
        let flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--remote-debugging-pipe",
            &profile,
            "about:blank",
        ];
        // The pipe is descriptors 3 and 4; the shell moves them there.
        let script =
            "command -v chromium >/dev/null || exit 1; exec chromium \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1";
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, "sh"]).args(flags).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.env("HOME", folder.path()).spawn().unwrap();
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let (watched, ended) = bounded::<()>(0);
        let pid = child.id().to_string();
        // A browser that says nothing any more ends the test instead of holding it up.
        std::thread::spawn(move || {
            if ended.recv_timeout(LIFE) == Err(RecvTimeoutError::Timeout) {
                let _ = Command::new("kill").args(["-KILL", &pid]).status();
            }
        });
        let mut browser = Self { child, to, from, last: 0, complaints: Vec::new(), _watched: watched, _folder: folder };
        if browser.ask(None, "Browser.getVersion", json!({})).is_none() {
            println!("left out: chromium can't be run");
            return None;
        }
        Some(browser)
    }

    /// Opens an address in a window of that size; a narrow one is a telephone.
    pub fn open(&mut self, url: &str, width: u32) -> Page {
        let target = self.ask(None, "Target.createTarget", json!({"url": "about:blank"})).unwrap();
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = self.ask(None, "Target.attachToTarget", attach).unwrap();
        let page = Page(session["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            self.ask(Some(&page), domain, json!({})).unwrap();
        }
        let size = json!({"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600});
        self.ask(Some(&page), "Emulation.setDeviceMetricsOverride", size).unwrap();
        self.ask(Some(&page), "Page.navigate", json!({"url": url})).unwrap();
        self.until(&page, "document.readyState === 'complete'");
        page
    }

    /// What an expression comes to in a page.
    pub fn eval(&mut self, page: &Page, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let result = self.ask(Some(page), "Runtime.evaluate", params).unwrap();
        assert!(result.get("exceptionDetails").is_none(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    pub fn until(&mut self, page: &Page, expression: &str) {
        let what = expression.to_owned();
        let held =
            comes_true(Duration::from_secs(20), || self.eval(page, &format!("Boolean({expression})")) == json!(true));
        let shown = self.eval(page, "document.body?.innerText ?? ''");
        assert!(held, "waited in vain: {what}\n{}", shown.as_str().unwrap_or_default());
    }

    /// Clicks in the middle of what the selector finds, as a mouse does, once it is there, has been scrolled to, stands
    /// still and nothing lies over it.
    pub fn click(&mut self, page: &Page, selector: &str) {
        let middle = format!(
            "(async () => {{
                const find = () => {{
                    const one = document.querySelector({});
                    const box = one?.getBoundingClientRect();
                    return one ? [one, box.x + box.width / 2, box.y + box.height / 2] : [null];
                }};
                for (let frame = 0; frame < 600; frame++) {{
                    const [before, x, y] = find();
                    before?.scrollIntoView({{ block: 'nearest' }});
                    await new Promise(requestAnimationFrame);
                    await new Promise(requestAnimationFrame);
                    const [one, toX, toY] = find();
                    if (!one || one !== before || x !== toX || y !== toY) continue;
                    if (one.contains(document.elementFromPoint(x, y))) return [x, y];
                }}
                return null;
            }})()",
            json!(selector)
        );
        // A page behind another one draws no frame and answers no mouse.
        self.ask(Some(page), "Page.bringToFront", json!({})).unwrap();
        let at = self.eval(page, &middle);
        assert!(at.is_array(), "{selector} is not there, never stands still or lies under something");
        for kind in ["mousePressed", "mouseReleased"] {
            let params = json!({"type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1});
            self.ask(Some(page), "Input.dispatchMouseEvent", params).unwrap();
        }
    }

    /// Holds the mouse over what the selector finds, which shows what can be done with it.
    pub fn point(&mut self, page: &Page, selector: &str) {
        self.ask(Some(page), "Page.bringToFront", json!({})).unwrap();
        let middle = format!(
            "(() => {{ const box = document.querySelector({}).getBoundingClientRect();
                return [box.x + box.width / 2, box.y + box.height / 2]; }})()",
            json!(selector)
        );
        let at = self.eval(page, &middle);
        let params = json!({"type": "mouseMoved", "x": at[0], "y": at[1]});
        self.ask(Some(page), "Input.dispatchMouseEvent", params).unwrap();
    }

    /// Types a text where the cursor is.
    pub fn write(&mut self, page: &Page, text: &str) {
        self.ask(Some(page), "Input.insertText", json!({"text": text})).unwrap();
    }

    /// Presses a key.
    pub fn press(&mut self, page: &Page, key: &str) {
        let code = match key {
            "Enter" => 13,
            "Escape" => 27,
            "Tab" => 9,
            // A letter has the code of its capital.
            _ => key.to_ascii_uppercase().bytes().next().map_or(0, u32::from),
        };
        let text = match key {
            "Enter" => "\r",
            _ if key.len() == 1 => key,
            _ => "",
        };
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let params = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text});
            self.ask(Some(page), "Input.dispatchKeyEvent", params).unwrap();
        }
    }

    fn ask(&mut self, page: Option<&Page>, method: &str, params: Value) -> Option<Value> {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": params});
        if let Some(Page(session)) = page {
            message["sessionId"] = json!(session);
        }
        self.to.write_all(format!("{message}\0").as_bytes()).ok()?;
        loop {
            let mut bytes = Vec::new();
            if self.from.read_until(0, &mut bytes).ok()? == 0 {
                return None;
            }
            bytes.pop();
            let told: Value = serde_json::from_slice(&bytes).unwrap();
            if told["id"] == self.last {
                assert!(told.get("error").is_none(), "{method}: {told}");
                return Some(told["result"].clone());
            }
            if matches!(
                told["method"].as_str(),
                Some("Runtime.exceptionThrown" | "Log.entryAdded" | "Runtime.consoleAPICalled")
            ) {
                self.complaints.push(told["params"].to_string());
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
