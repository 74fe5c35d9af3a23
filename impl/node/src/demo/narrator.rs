//! What the demo says while it works: numbered acts, the protocol's own events, progress bars on a
//! terminal and plain lines elsewhere.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Speaks to the person who runs the demo, on standard output.
#[derive(Debug)]
pub(crate) struct Narrator {
    started: Instant,
    act: Mutex<(usize, String)>,
    /// `None` where nobody watches bars grow.
    bars: Option<MultiProgress>,
}

impl Narrator {
    /// Starts the clock.
    pub(crate) fn new() -> Self {
        let bars = io::stdout()
            .is_terminal()
            .then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stdout()));
        Self {
            started: Instant::now(),
            act: Mutex::new((0, "before the first act".into())),
            bars,
        }
    }

    /// Time since the demo began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Begins the next act.
    pub(crate) fn act(&self, title: &str) {
        let number = {
            let mut act = self.act.lock().unwrap_or_else(PoisonError::into_inner);
            *act = (act.0 + 1, format!("act {}, {title:?}", act.0 + 1));
            act.0
        };
        self.line(&format!("\n{number}. {title}"));
    }

    /// Which act this is.
    pub(crate) fn present_act(&self) -> String {
        let act = self.act.lock().unwrap_or_else(PoisonError::into_inner);
        act.1.clone()
    }

    /// Says what the demo does, or found.
    pub(crate) fn say(&self, text: &str) {
        self.line(&format!(
            "   [{:6.2} s] {text}",
            self.elapsed().as_secs_f64()
        ));
    }

    /// Says what a node did.
    pub(crate) fn event(&self, text: &str) {
        self.line(&format!(
            "   [{:6.2} s]   | {text}",
            self.elapsed().as_secs_f64()
        ));
    }

    /// A line as it is.
    pub(crate) fn line(&self, text: &str) {
        // A reader that went away (`demo | head`) is no reason to fail.
        let print = || {
            let _ = writeln!(io::stdout(), "{text}");
        };
        match &self.bars {
            Some(bars) => bars.suspend(print),
            None => print(),
        }
    }

    /// Follows work of `total` bytes.
    pub(crate) fn progress(&self, what: &str, total: u64) -> Progress<'_> {
        let bar = self.bars.as_ref().map(|bars| {
            let style = ProgressStyle::with_template(
                "              {msg:24} [{bar:30}] {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}",
            );
            let bar = bars.add(ProgressBar::new(total));
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_message(what.to_owned());
            bar
        });
        Progress {
            narrator: self,
            what: what.to_owned(),
            total,
            quarters_said: 0,
            bar,
        }
    }
}

/// One piece of work that is followed.
#[derive(Debug)]
pub(crate) struct Progress<'a> {
    narrator: &'a Narrator,
    what: String,
    total: u64,
    quarters_said: u64,
    bar: Option<ProgressBar>,
}

impl Progress<'_> {
    /// `done` of the total bytes are done. Plain output says so once per quarter.
    pub(crate) fn at(&mut self, done: u64) {
        let done = done.min(self.total);
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            return;
        }
        let quarters = done.saturating_mul(4).checked_div(self.total).unwrap_or(4);
        if quarters > self.quarters_said {
            self.quarters_said = quarters;
            self.narrator
                .say(&format!("{}: {} %", self.what, quarters * 25));
        }
    }

    /// The work is over; the bar stays as it stands.
    pub(crate) fn finish(mut self) {
        self.at(self.total);
        if let Some(bar) = &self.bar {
            bar.finish();
        }
    }
}
