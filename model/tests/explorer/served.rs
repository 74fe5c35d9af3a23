//! A running `holdfast-model explore`, and plain requests to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// The Explorer, until it is dropped.
pub(crate) struct Served {
    child: Child,
    /// The address that it printed.
    pub(crate) url: String,
}

impl Served {
    /// Starts it on a free port and waits until it answers.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_holdfast-model"))
            .args(["explore", "--address", "127.0.0.1:0"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        lines.read_line(&mut url).unwrap();
        let served = Self {
            child,
            url: url.trim_end().to_owned(),
        };
        assert!(served.url.starts_with("http://127.0.0.1:"), "{url:?}");
        let begun = Instant::now();
        while served.connect().is_err() {
            assert!(begun.elapsed() < PATIENCE, "nobody listens at {url}");
            std::thread::sleep(Duration::from_millis(10));
        }
        served
    }

    fn host(&self) -> &str {
        let rest = &self.url["http://".len()..];
        rest.split('/').next().unwrap()
    }

    /// The places of the actions that lead to the state at which it opens.
    pub(crate) fn place(&self) -> &str {
        self.url.split_once("#/steps/").unwrap().1
    }

    fn connect(&self) -> std::io::Result<TcpStream> {
        let stream = TcpStream::connect(self.host())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// The body of a resource.
    pub(crate) fn get(&self, resource: &str) -> String {
        let mut stream = self.connect().unwrap();
        write!(
            stream,
            "GET {resource} HTTP/1.0\r\nHost: {}\r\n\r\n",
            self.host()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 "), "{resource}: {head}");
        body.to_owned()
    }

    /// What can follow a path of actions, as the page asks for it.
    pub(crate) fn steps(&self, place: &str) -> Vec<Value> {
        serde_json::from_str(&self.get(&format!("/.states/{place}"))).unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
