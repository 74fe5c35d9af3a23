//! The page, in a browser.

use super::browser::{look, size_of};
use super::served::Served;

/// A mutant whose shortest run has a crash, a failover and a fall.
const MUTANT: &str = "M07-count-older-epochs";

#[test]
fn the_shortest_run_of_a_mutant_opens_as_a_diagram_that_ends_with_its_fall() {
    let served = Served::start(&["--mutant", MUTANT]);
    let seen = look(&served.url, (1800, 1400), |document| {
        document.contains("<svg") && document.contains("falls: T13-committed-kept")
    });
    let document = &seen.document;
    for lane in ["client", "node 0", "node 1", "node 2", "authority"] {
        let head = format!("class=\"ink lane mid\">{lane}</text>");
        assert!(document.contains(&head), "{lane} has no lane");
    }
    for event in [
        "write: w1 becomes entry 2",
        "fence: reports epoch 1 up to 1",
        "append: entry 2 = 1.w1",
        "promote: epoch 4",
    ] {
        assert!(document.contains(&format!(">{event}</text>")), "{event}");
    }
    // The lists beside it: the path so far in words, and what can follow.
    for action in ["client → node 0: write", "authority → node 1: promote"] {
        assert!(document.contains(&format!(">{action}</a>")), "{action}");
    }
    // The state beneath it, lane by lane.
    assert!(document.contains("PRIMARY e4"), "no state is told");
    assert_eq!(size_of(&seen.picture), (1800, 1400));
    assert!(seen.picture.len() > 50_000, "the picture is blank");
}

#[test]
fn an_instance_opens_at_its_beginning_with_what_can_follow() {
    let served = Served::start(&["cluster", "--instance", "wire"]);
    let seen = look(&served.url, (1400, 900), |document| {
        document.contains("<svg") && document.contains("client → node 0: write")
    });
    assert!(seen.document.contains("cluster / wire"));
    assert!(!seen.document.contains("falls: "));
}

#[test]
#[ignore = "takes docs/screenshots anew: make pictures"]
fn the_screenshots_are_taken_anew() {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/screenshots");
    std::fs::create_dir_all(docs).unwrap();
    let served = Served::start(&["--mutant", "M01-truncate-to-watermark"]);
    let seen = look(&served.url, (1650, 1850), |document| {
        document.contains("✖ falls: ")
    });
    std::fs::write(format!("{docs}/explorer-cluster.png"), seen.picture).unwrap();
}
