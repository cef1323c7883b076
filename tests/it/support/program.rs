//! The built program in a folder of its own: configuration, commands, the running server.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

/// The licence key of every test portal (`portal-box.md` §9).
pub const LICENCE_KEY: &str = "TEST-LICENCE-KEY-0001";

/// A folder with a configuration and a data directory; both vanish with it.
#[derive(Debug)]
pub struct Place {
    pub folder: tempfile::TempDir,
}

impl Place {
    /// A place whose server takes unsigned webhooks on loopback. `more` is added to the configuration.
    pub fn new(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "data_dir = {:?}\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n{more}",
            folder.path().join("data")
        );
        std::fs::write(folder.path().join("trunkline.toml"), config).unwrap();
        std::fs::write(folder.path().join("licence"), LICENCE_KEY).unwrap();
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
        command.env_clear().env("HOME", self.folder.path()).arg("--config").arg(self.path("trunkline.toml")).args(args);
        command
    }

    /// Runs a command that must succeed and gives its standard output.
    pub fn run(&self, args: &[&str]) -> String {
        let output = self.output(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn output(&self, args: &[&str]) -> Output {
        self.command(args).stdin(Stdio::null()).output().unwrap()
    }

    pub fn json(&self, args: &[&str]) -> serde_json::Value {
        let mut all = vec!["--json"];
        all.extend(args);
        serde_json::from_str(&self.run(&all)).unwrap()
    }

    /// Registers a portal and connects a Bot Framework line; gives the line's id and hash.
    pub fn connect(&self, name: &str, url: &str, app_id: &str) -> (i64, String) {
        let licence = self.path("licence");
        let licence = licence.to_str().unwrap();
        if !self.output(&["portal", "show", name]).status.success() {
            self.run(&["portal", "add", name, "--protocol", "box", "--url", url, "--license-key-file", licence]);
        }
        std::fs::write(self.path("secret"), "s3cret").unwrap();
        let secret = format!("app_secret={}", self.path("secret").display());
        let app = format!("app_id={app_id}");
        let line = self.json(&[
            "line",
            "add",
            "--portal",
            name,
            "--connector",
            "botframework",
            "--line",
            "7",
            "--set",
            "bot_handle=shop",
            "--set",
            &app,
            "--set-file",
            &secret,
        ]);
        (line["id"].as_i64().unwrap(), line["hash"].as_str().unwrap().to_owned())
    }

    /// Starts the server and waits for its ready line.
    pub fn serve(&self) -> Server {
        self.start(self.command(&["serve"]))
    }

    /// The same with a command that was changed.
    pub fn start(&self, command: Command) -> Server {
        Self::try_start(command).unwrap_or_else(|output| {
            panic!("not ready ({}): {}", output.status, String::from_utf8_lossy(&output.stderr));
        })
    }

    /// The same with a crash at a named step (`fault`), of which the server knows by its environment. None when what
    /// was left over from before brought it there before it was ready.
    pub fn serve_until(&self, step: &str) -> Option<Server> {
        let mut command = self.command(&["serve"]);
        command.env("CRASH_AT", step);
        Self::try_start(command).ok()
    }

    /// The same with these words of the command line.
    pub fn serve_as(&self, args: &[&str]) -> Server {
        self.start(self.command(args))
    }

    /// The same with at most so many file descriptors.
    pub fn serve_with_descriptors(&self, count: u32) -> Server {
        let mut command = Command::new("/bin/sh");
        let script = format!("ulimit -n {count} && exec \"$@\"");
        let program = env!("CARGO_BIN_EXE_trunkline");
        command.env_clear().env("HOME", self.folder.path()).args(["-c", &script, "sh", program]);
        command.arg("--config").arg(self.path("trunkline.toml")).arg("serve");
        self.start(command)
    }

    fn try_start(mut command: Command) -> Result<Server, Output> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let part = |key: &str| line.split_whitespace().find_map(|word| word.strip_prefix(key)).map(str::to_owned);
        let Some(public) = part("public=") else {
            return Err(child.wait_with_output().unwrap());
        };
        let log = Log::read(child.stderr.take().unwrap());
        Ok(Server { child, public, admin: part("admin=").unwrap(), log })
    }
}

/// What a server has logged so far; read on a thread so that a full pipe never stops the server.
#[derive(Clone, Debug)]
pub struct Log(std::sync::Arc<std::sync::Mutex<String>>);

impl Log {
    fn read(stderr: ChildStderr) -> Self {
        let log = Self(std::sync::Arc::default());
        let inner = log.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut text = inner.0.lock().unwrap();
                text.push_str(&line);
                text.push('\n');
            }
        });
        log
    }

    pub fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

/// A running server; killed when dropped.
#[derive(Debug)]
pub struct Server {
    pub child: Child,
    pub public: String,
    pub admin: String,
    pub log: Log,
}

impl Server {
    /// SIGKILL, as hard as it gets.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; gives the exit code.
    pub fn terminate(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }

    /// Waits for the process to end by itself; gives how.
    pub fn ended(mut self, what: &str) -> std::process::ExitStatus {
        let mut status = None;
        super::until(what, std::time::Duration::from_secs(30), || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// One figure of `/metrics`, labels included in `name`.
    pub fn metric(&self, name: &str) -> f64 {
        self.figure(name).unwrap_or_else(|| panic!("no {name} in /metrics"))
    }

    /// The same for a counter that is not shown before its first count.
    pub fn metric_or_zero(&self, name: &str) -> f64 {
        self.figure(name).unwrap_or(0.0)
    }

    fn figure(&self, name: &str) -> Option<f64> {
        let answer = super::http::Client::connect(&self.admin).unwrap().request("GET", "/metrics", "", b"").unwrap();
        let text = answer.text();
        let line = text.lines().find(|line| line.starts_with(&format!("{name} ")))?;
        line.rsplit(' ').next().unwrap().parse().ok()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
