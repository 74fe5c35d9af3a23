//! The NBD clients of the world against a whole cluster, over the loss of its primary.

use std::path::Path;

use holdfast_tests::command::holdfast;
use holdfast_tests::content::{noise, sha256, sha256_of_file};
use holdfast_tests::kept::Kept;
use holdfast_tests::tools::Tool;

const MIB: usize = 1 << 20;

fn read_volume(uri: &str, to: &Path) -> String {
    Tool::NbdCopy.run([uri, to.to_str().unwrap()]);
    sha256_of_file(to).unwrap()
}

#[test]
fn a1_what_real_clients_flushed_is_read_back_from_the_promoted_primary() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    // The demo's image makes the volume; the clients then replace all of it.
    std::fs::write(at("first.img"), noise(1, 24 * MIB)).unwrap();
    let mut kept = Kept::start(&at("first.img"), dir.path());
    let uri = kept.node(&kept.primary).uri.clone();

    let mut image = noise(2, 24 * MIB);
    std::fs::write(at("second.img"), &image).unwrap();
    let second = at("second.img");
    Tool::NbdCopy.run(["--flush", second.to_str().unwrap(), &uri]);
    let writes = [
        "write -P 0xa5 1M 192k",
        "write -z 9M 64k",
        "write -P 0x5a 3000k 4k",
        "flush",
    ];
    let mut arguments = vec!["-f", "raw", &uri];
    arguments.extend(writes.iter().flat_map(|write| ["-c", write]));
    Tool::QemuIo.run(arguments);
    image[MIB..MIB + (192 << 10)].fill(0xa5);
    image[9 * MIB..9 * MIB + (64 << 10)].fill(0);
    image[3000 << 10..3004 << 10].fill(0x5a);
    std::fs::write(at("expected.img"), &image).unwrap();

    kept.kill(&kept.primary);
    let new = kept.promote();
    assert_ne!(new, kept.primary, "a dead node was promoted");
    let uri = kept.node(&new).uri.clone();

    assert_eq!(read_volume(&uri, &at("read.img")), sha256(&image));
    let expected = at("expected.img");
    let compare = [
        "compare",
        "-f",
        "raw",
        "-F",
        "raw",
        expected.to_str().unwrap(),
        &uri,
    ];
    assert!(Tool::QemuImg.run(compare).contains("identical"));

    // The new primary takes writes; whoever asks finds the volume degraded.
    let write = [
        "-f",
        "raw",
        &uri,
        "-c",
        "write -P 0x77 0 64k",
        "-c",
        "flush",
    ];
    Tool::QemuIo.run(write);
    let read = ["-f", "raw", &uri, "-c", "read -P 0x77 0 64k"];
    Tool::QemuIo.run(read);
    let control = kept.node(&new).control.clone();
    let status = holdfast(["status", "--json", "--node", &control]).json();
    assert_eq!(status["volumes"][0]["role"], "primary");

    assert!(kept.demo.terminate().success(), "{}", kept.demo.log_tail());
}
