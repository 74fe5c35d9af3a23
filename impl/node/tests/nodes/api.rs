//! The HTTP API of a node, as a program meets it that was written by somebody else.

use std::time::Duration;

use crate::peer::Place;
use holdfast_node::runtime::{ControlError, ControlReply, ControlRequest, ProblemKind};
use holdfast_types::VolumeId;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends bytes, and reads until the node closes.
async fn exchange(place: &Place, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(place.node().control_address())
        .await
        .unwrap();
    // Whoever is refused early may not have taken everything.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer));
    let _ = read.await.expect("the connection is closed");
    String::from_utf8_lossy(&answer).into_owned()
}

fn request(method: &str, path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: node\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The status and the body of an answer.
async fn asked(place: &Place, method: &str, path: &str, body: &str) -> (u16, Value) {
    let answer = exchange(place, &request(method, path, body)).await;
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    (status, serde_json::from_str(body).expect(&answer))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_tells_the_same_facts_as_the_commands() {
    let place = Place::start().await;
    let volume = place.volume().await;
    let epoch = place.promote_here(volume).await;
    let (status, told) = asked(&place, "GET", "/v1/status", "").await;
    assert_eq!((status, &told["node"]), (200, &Value::from("r")));
    assert_eq!(told["volumes"][0]["volume"], volume.to_string());
    assert_eq!(told["volumes"][0]["promised"], epoch.0);
    let (status, records) = asked(&place, "GET", "/v1/volumes", "").await;
    assert_eq!(status, 200);
    assert_eq!(records[0]["record"]["primary"], "r");
    let (status, events) = asked(&place, "GET", "/v1/events?after=0", "").await;
    assert_eq!(status, 200);
    assert!(events.is_array(), "{events}");
    let plan = format!("/v1/volumes/{volume}/plan");
    let (status, planned) = asked(&place, "GET", &plan, "").await;
    assert_eq!(status, 200);
    assert_eq!(planned["decision"]["outcome"], "promote");
    assert_eq!(planned["reports"]["r"]["trusted"], true);
    assert_eq!(place.promised(volume), epoch, "a plan promises nothing");
    let promote = format!("/v1/volumes/{volume}/promote");
    let (status, promoted) = asked(&place, "POST", &promote, r#"{"forced":false}"#).await;
    assert_eq!(status, 200);
    assert_eq!(promoted["record"]["epoch"], epoch.0 + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f45_what_cannot_be_understood_is_refused_with_a_reason_and_changes_nothing() {
    let place = Place::start().await;
    let volume = place.volume().await;
    let promote = format!("/v1/volumes/{volume}/promote");
    let large = format!(r#"{{"forced":"{}"}}"#, "x".repeat(2 << 20));
    for (method, path, body, status, kind) in [
        ("GET", "/v1/nothing", "", 404, "not_found"),
        ("GET", promote.as_str(), "", 405, "invalid"),
        ("POST", "/v1/status", "{}", 405, "invalid"),
        ("POST", promote.as_str(), "{", 400, "invalid"),
        (
            "POST",
            promote.as_str(),
            r#"{"force":true}"#,
            400,
            "invalid",
        ),
        (
            "POST",
            promote.as_str(),
            r#"{"replica":"r"}"#,
            400,
            "invalid",
        ),
        ("POST", promote.as_str(), large.as_str(), 413, "too_large"),
        ("GET", "/v1/events?since=3", "", 400, "invalid"),
        ("GET", "/v1/volumes/no%20such/plan", "", 404, "not_found"),
        (
            "POST",
            "/v1/node",
            r#"{"request":"status"}"#,
            400,
            "invalid",
        ),
        (
            "POST",
            "/v1/node",
            r#"{"request":"unheard"}"#,
            400,
            "invalid",
        ),
    ] {
        let (found, told) = asked(&place, method, path, body).await;
        assert_eq!(found, status, "{method} {path}: {told}");
        assert_eq!(told["kind"], kind, "{method} {path}: {told}");
        assert!(!told["what"].as_str().unwrap().is_empty(), "{told}");
    }
    let garbage = exchange(&place, &[0xff; 4096]).await;
    assert!(garbage.starts_with("HTTP/1.1 400"), "{garbage:?}");
    let mut endless = b"GET /v1/status HTTP/1.1\r\nx: ".to_vec();
    endless.resize(1 << 20, b'x');
    let refused = exchange(&place, &endless).await;
    assert!(!refused.contains("200 OK"), "{refused:?}");
    assert_eq!(
        place.record(volume).await.epoch.0,
        1,
        "nothing was promoted"
    );
    let (status, _) = asked(&place, "GET", "/v1/status", "").await;
    assert_eq!(status, 200, "others go on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_reaches_its_caller_with_its_kind() {
    let place = Place::start().await;
    let unknown = ControlRequest::Plan {
        volume: VolumeId::random().to_string(),
    };
    let Err(ControlError::Failed { problem }) = place.try_ask(&unknown).await else {
        panic!("planned for nothing");
    };
    assert_eq!(problem.kind, ProblemKind::NotFound);
    assert!(problem.what.contains("volume list"), "{problem}");
    let known = place.ask(&ControlRequest::Status).await;
    assert!(matches!(known, ControlReply::Status(_)));
}
