//! The NBD front end under the clients that people really use: qemu-io, qemu-img, nbdcopy,
//! nbdinfo and fio, against an export in memory.
//!
//! They must be installed: `tests/install-tools.sh` does it where it may, and says what is missing
//! where it may not. A missing tool fails the test.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use holdfast_node::nbd::{Export, ExportError, ExportInfo, Limits, Listener, Server, Space};
use tempfile::TempDir;

const SIZE: usize = 64 << 20;

/// What the device was asked, and its content.
struct Disk {
    content: Mutex<Vec<u8>>,
    flushes: AtomicUsize,
    fua_writes: AtomicUsize,
    trims: AtomicUsize,
    zeroings: AtomicUsize,
}

struct MemoryExport(Arc<Disk>);

impl Export for MemoryExport {
    fn info(&self) -> ExportInfo {
        ExportInfo {
            size: SIZE as u64,
            read_only: false,
        }
    }

    async fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ExportError> {
        let start = offset as usize;
        buffer.copy_from_slice(&self.0.content.lock().unwrap()[start..start + buffer.len()]);
        Ok(())
    }

    async fn write(&self, offset: u64, data: Bytes, fua: bool) -> Result<(), ExportError> {
        let start = offset as usize;
        self.0.content.lock().unwrap()[start..start + data.len()].copy_from_slice(&data);
        self.0
            .fua_writes
            .fetch_add(usize::from(fua), Ordering::SeqCst);
        Ok(())
    }

    async fn flush(&self) -> Result<(), ExportError> {
        self.0.flushes.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn trim(&self, offset: u64, length: u64, _fua: bool) -> Result<(), ExportError> {
        self.zero(offset, length);
        self.0.trims.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn write_zeroes(
        &self,
        offset: u64,
        length: u64,
        _space: Space,
        _fua: bool,
    ) -> Result<(), ExportError> {
        self.zero(offset, length);
        self.0.zeroings.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

impl MemoryExport {
    fn zero(&self, offset: u64, length: u64) {
        let start = offset as usize;
        self.0.content.lock().unwrap()[start..start + length as usize].fill(0);
    }
}

/// A served disk, its two addresses, and a directory for the clients' files.
struct Rig {
    disk: Arc<Disk>,
    dir: TempDir,
    tcp: String,
    unix: String,
    _listeners: [Listener; 2],
    _runtime: tokio::runtime::Runtime,
}

impl Rig {
    fn new() -> Self {
        let disk = Arc::new(Disk {
            content: Mutex::new(vec![0; SIZE]),
            flushes: AtomicUsize::new(0),
            fua_writes: AtomicUsize::new(0),
            trims: AtomicUsize::new(0),
            zeroings: AtomicUsize::new(0),
        });
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("nbd.sock");
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let server = Server::new(Limits::default());
        server.serve("vol", MemoryExport(disk.clone())).unwrap();
        let (tcp, unix) = runtime.block_on(async {
            let tcp = server.listen_tcp("127.0.0.1:0".parse().unwrap());
            let unix = server.listen_unix(&socket);
            (tcp.await.unwrap(), unix.await.unwrap())
        });
        Self {
            tcp: format!("nbd://{}/vol", tcp.tcp_address().unwrap()),
            unix: format!("nbd+unix:///vol?socket={}", socket.display()),
            disk,
            dir,
            _listeners: [tcp, unix],
            _runtime: runtime,
        }
    }

    /// Runs a client to its end and returns what it printed. Anything but success is a failure.
    /// It runs in the rig's directory, as fio leaves files where it runs.
    fn run<S: AsRef<OsStr>>(&self, tool: &str, arguments: impl IntoIterator<Item = S>) -> String {
        let mut command = Command::new(tool);
        command.args(arguments).current_dir(self.dir.path());
        let output = command.output().unwrap_or_else(|error| {
            panic!("{tool} cannot be run ({error}); tests/install-tools.sh installs what is needed")
        });
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.status.success(), "{tool} failed: {text}");
        text
    }

    fn image(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

/// Content without repetition, so that a misplaced block shows.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut out = Vec::with_capacity(length);
    while out.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(length);
    out
}

#[test]
fn qemu_io_writes_reads_zeroes_discards_and_flushes() {
    let rig = Rig::new();
    for uri in [&rig.tcp, &rig.unix] {
        let script = [
            "write -P 0xab 0 64k",
            "write -P 0xcd 4608 512",
            "write -f -P 0xef 1M 4k",
            "read -v -P 0xab 0 4608",
            "read -P 0xcd 4608 512",
            "read -P 0xab 5120 60416",
            "read -P 0xef 1M 4k",
            "write -z 8k 8k",
            "read -P 0 8k 8k",
            "read -P 0xab 16k 48k",
            "discard 1M 4k",
            "read -P 0 1M 4k",
            "write -P 0x11 32M 16M",
            "read -P 0x11 32M 16M",
            "flush",
        ];
        let mut arguments = vec!["-f", "raw", "-t", "writeback", "-d", "unmap"];
        script
            .iter()
            .for_each(|line| arguments.extend(["-c", line]));
        arguments.push(uri);
        let said = rig.run("qemu-io", arguments);
        assert!(!said.contains("failed"), "{said}");
    }
    let content = rig.disk.content.lock().unwrap();
    assert!(content[..4608].iter().all(|b| *b == 0xab));
    assert!(content[4608..5120].iter().all(|b| *b == 0xcd));
    assert!(rig.disk.fua_writes.load(Ordering::SeqCst) >= 2);
    assert!(rig.disk.flushes.load(Ordering::SeqCst) >= 2);
    assert!(rig.disk.zeroings.load(Ordering::SeqCst) >= 2);
    assert!(rig.disk.trims.load(Ordering::SeqCst) >= 2);
}

#[test]
fn qemu_io_is_told_when_it_reaches_beyond_the_end() {
    let rig = Rig::new();
    let output = Command::new("qemu-io")
        .args(["-f", "raw", "-c", "read 64M 4k", rig.tcp.as_str()])
        .output()
        .expect("qemu-io: tests/install-tools.sh installs it");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(said.contains("Input/output error"), "{said}");
}

#[test]
fn nbdcopy_brings_an_image_in_and_out_over_several_connections() {
    let rig = Rig::new();
    let content = noise(SIZE);
    let original = rig.image("original.img", &content);
    let back = rig.dir.path().join("back.img");
    rig.run(
        "nbdcopy",
        [
            OsStr::new("--connections=4"),
            OsStr::new("--flush"),
            original.as_os_str(),
            OsStr::new(&rig.tcp),
        ],
    );
    assert!(*rig.disk.content.lock().unwrap() == content);
    assert!(rig.disk.flushes.load(Ordering::SeqCst) >= 1);
    rig.run("nbdcopy", [OsStr::new(&rig.unix), back.as_os_str()]);
    assert!(std::fs::read(back).unwrap() == content);
}

#[test]
fn qemu_img_converts_and_finds_the_copies_equal() {
    let rig = Rig::new();
    let mut content = noise(SIZE);
    content[SIZE / 4..SIZE / 2].fill(0);
    let original = rig.image("original.img", &content);
    let original = original.to_str().unwrap();
    rig.run(
        "qemu-img",
        [
            "convert", "-n", "-f", "raw", "-O", "raw", original, &rig.tcp,
        ],
    );
    let compare = ["compare", "-f", "raw", "-F", "raw", original, &rig.unix];
    assert!(rig.run("qemu-img", compare).contains("identical"));
    assert!(*rig.disk.content.lock().unwrap() == content);
}

#[test]
fn nbdinfo_sees_the_size_the_block_sizes_and_what_the_export_can_do() {
    let rig = Rig::new();
    let said = rig.run("nbdinfo", ["--json", &rig.tcp]);
    let facts: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(facts["protocol"], "newstyle-fixed");
    let export = &facts["exports"][0];
    assert_eq!(export["export-size"], SIZE);
    assert_eq!(export["block_size_minimum"], 512);
    assert_eq!(export["block_size_preferred"], 4096);
    assert_eq!(export["block_size_maximum"], 32 << 20);
    for able in [
        "can_flush",
        "can_fua",
        "can_multi_conn",
        "can_trim",
        "can_zero",
    ] {
        assert_eq!(export[able], true, "{able}");
    }
    assert_eq!(export["is_read_only"], false);
    for unable in ["can_df", "can_cache", "can_fast_zero"] {
        assert_eq!(export[unable], false, "{unable}");
    }

    let list = rig.run("nbdinfo", ["--list", &rig.unix]);
    assert!(list.contains("export=\"vol\""), "{list}");
}

#[test]
fn fio_verifies_random_writes_of_every_size_at_depth() {
    let rig = Rig::new();
    for (name, sizes, depth, uri) in [
        ("whole blocks", "4k-4k", "32", &rig.tcp),
        ("sectors and odd sizes", "512-64k", "16", &rig.unix),
        ("large", "1m-1m", "4", &rig.unix),
    ] {
        let said = rig.run(
            "fio",
            [
                format!("--name={name}"),
                "--ioengine=nbd".to_owned(),
                format!("--uri={uri}"),
                "--rw=randwrite".to_owned(),
                format!("--bsrange={sizes}"),
                format!("--iodepth={depth}"),
                "--size=32m".to_owned(),
                "--fsync=64".to_owned(),
                "--verify=crc32c".to_owned(),
                "--verify_fatal=1".to_owned(),
                "--randseed=4".to_owned(),
            ],
        );
        assert!(said.contains("err= 0"), "{name}: {said}");
    }
    assert!(rig.disk.flushes.load(Ordering::SeqCst) > 0);
}
