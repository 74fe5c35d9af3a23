//! A headless Chromium that looks at one page and goes away.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// One look may take this long, on a busy machine.
const LOOK_MAX: Duration = Duration::from_secs(60);
/// Looks at a page that has not finished when the first one ends.
const LOOKS: usize = 3;

/// What the browser saw.
pub(crate) struct Seen {
    /// The document, after its scripts ran.
    pub(crate) document: String,
    /// The picture, as PNG.
    pub(crate) picture: Vec<u8>,
}

/// Looks at `url` in a window of that size until the document satisfies `ready`.
pub(crate) fn look(url: &str, size: (u32, u32), ready: impl Fn(&str) -> bool) -> Seen {
    let mut last = String::new();
    for _ in 0..LOOKS {
        let seen = look_once(url, size);
        if ready(&seen.document) {
            return seen;
        }
        last = seen.document;
    }
    panic!("after {LOOKS} looks {url} does not show what it should:\n{last}");
}

fn look_once(url: &str, (width, height): (u32, u32)) -> Seen {
    let home = Home::new();
    let (document, picture) = (home.0.join("document.html"), home.0.join("picture.png"));
    let mut browser = Browser(
        Command::new("chromium")
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
            ])
            .args(["--disable-quic", "--disable-sync", "--hide-scrollbars"])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
            ])
            .args(["--force-color-profile=srgb", "--virtual-time-budget=10000"])
            .arg(format!(
                "--user-data-dir={}",
                home.0.join("profile").display()
            ))
            .arg(format!("--window-size={width},{height}"))
            .arg(format!("--screenshot={}", picture.display()))
            .args(["--dump-dom", url])
            // Whatever it leaves behind, it leaves there.
            .env("HOME", &home.0)
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_CACHE_HOME")
            .stdin(Stdio::null())
            .stdout(File::create(&document).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromium runs (tests/install-tools.sh installs it)"),
    );
    browser.wait(url);
    Seen {
        document: std::fs::read_to_string(&document).unwrap(),
        picture: std::fs::read(&picture).expect("the browser took a picture"),
    }
}

/// The browser's process; gone with its value.
struct Browser(Child);

impl Browser {
    fn wait(&mut self, url: &str) {
        let begun = Instant::now();
        while self.0.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < LOOK_MAX, "the browser hangs at {url}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A new, empty directory; gone with its value.
struct Home(PathBuf);

impl Home {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("browser-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Width and height of a PNG.
pub(crate) fn size_of(picture: &[u8]) -> (u32, u32) {
    assert_eq!(picture.get(..8), Some(&b"\x89PNG\r\n\x1a\n"[..]));
    let number = |at: usize| u32::from_be_bytes(picture[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}
