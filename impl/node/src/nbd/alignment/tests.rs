use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use proptest::prelude::*;

use super::super::export::{ExportError, Space};
use super::super::testing::{Controls, MemoryDevice};
use super::Aligned;

fn device(blocks: usize) -> (Arc<Aligned<MemoryDevice>>, Arc<Controls>) {
    let (device, controls) = MemoryDevice::new(blocks);
    (Arc::new(Aligned::new(device)), controls)
}

#[tokio::test]
async fn whole_blocks_go_straight_to_the_device() {
    let (device, controls) = device(8);
    device
        .write(4096, Bytes::from(vec![1; 8192]), true)
        .await
        .unwrap();
    device.read(4096, &mut [0; 4096]).await.unwrap();
    device.trim(0, 4096, true).await.unwrap();
    device
        .write_zeroes(8192, 4096, Space::Keep, true)
        .await
        .unwrap();
    assert_eq!(
        controls.calls(),
        [
            "write-fua 4096+8192",
            "read 4096+4096",
            "trim-fua 0+4096",
            "zero-keep-fua 8192+4096",
        ]
    );
}

#[tokio::test]
async fn a_sector_is_changed_by_one_read_and_one_write_of_its_block() {
    let (device, controls) = device(2);
    controls.content.lock().unwrap().fill(7);
    device
        .write(4096 + 512, Bytes::from(vec![9; 512]), true)
        .await
        .unwrap();
    assert_eq!(controls.calls(), ["read 4096+4096", "write-fua 4096+4096"]);
    let content = controls.content.lock().unwrap();
    assert!(content[..4608].iter().all(|b| *b == 7));
    assert!(content[4608..5120].iter().all(|b| *b == 9));
    assert!(content[5120..].iter().all(|b| *b == 7));
}

#[tokio::test]
async fn only_the_partial_blocks_of_a_long_write_are_read() {
    let (device, controls) = device(8);
    device
        .write(512, Bytes::from(vec![1; 4096 * 3]), false)
        .await
        .unwrap();
    assert_eq!(
        controls.calls(),
        ["read 0+4096", "read 12288+4096", "write 0+16384"]
    );
}

#[tokio::test]
async fn a_trim_gives_back_whole_blocks_alone() {
    let (device, controls) = device(8);
    controls.content.lock().unwrap().fill(7);
    device.trim(512, 4096, false).await.unwrap();
    assert!(controls.calls().is_empty());
    device.trim(512, 4096 * 2, false).await.unwrap();
    assert_eq!(controls.calls(), ["trim 4096+4096"]);
}

#[tokio::test]
async fn empty_requests_change_nothing() {
    let (device, controls) = device(1);
    device.read(0, &mut []).await.unwrap();
    device.write(0, Bytes::new(), false).await.unwrap();
    device.trim(0, 0, true).await.unwrap();
    device.write_zeroes(0, 0, Space::Keep, false).await.unwrap();
    assert!(controls.calls().is_empty());
}

#[tokio::test]
async fn a_range_beyond_every_device_is_refused_and_never_overflows() {
    let (device, _) = device(1);
    for offset in [u64::MAX, u64::MAX - 100] {
        let refused = device.read(offset, &mut [0; 512]).await;
        assert!(matches!(refused, Err(ExportError::Invalid { .. })));
    }
}

#[tokio::test]
async fn sectors_of_one_block_written_at_once_all_arrive() {
    let (device, controls) = device(1);
    controls.hold_writes.store(true, Ordering::SeqCst);
    let writers: Vec<_> = (0..8u8)
        .map(|sector| {
            let device = device.clone();
            tokio::spawn(async move {
                let data = Bytes::from(vec![sector + 1; 512]);
                device.write(u64::from(sector) * 512, data, false).await
            })
        })
        .collect();
    controls.until_waiting(1).await;
    controls.gate.add_permits(8);
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
    let content = controls.content.lock().unwrap();
    let sectors: Vec<u8> = content.chunks(512).map(|sector| sector[0]).collect();
    assert_eq!(sectors, [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[tokio::test]
async fn a_sector_write_never_takes_back_a_write_of_the_whole_block() {
    let (device, controls) = device(1);
    controls.hold_writes.store(true, Ordering::SeqCst);
    let sector = tokio::spawn({
        let device = device.clone();
        async move { device.write(0, Bytes::from(vec![1; 512]), false).await }
    });
    controls.until_waiting(1).await;
    let whole = tokio::spawn({
        let device = device.clone();
        async move { device.write(0, Bytes::from(vec![2; 4096]), false).await }
    });
    tokio::task::yield_now().await;
    controls.gate.add_permits(2);
    sector.await.unwrap().unwrap();
    whole.await.unwrap().unwrap();
    assert!(controls.content.lock().unwrap().iter().all(|b| *b == 2));
}

#[derive(Clone, Debug)]
enum Op {
    Write(u64, Vec<u8>),
    Zero(u64, u64),
    Read(u64, usize),
}

fn op() -> impl Strategy<Value = Op> {
    let range = (0u64..40_000, 0u64..20_000);
    prop_oneof![
        (range.clone(), any::<u8>()).prop_map(|((o, l), b)| Op::Write(o, vec![b; l as usize])),
        range.clone().prop_map(|(o, l)| Op::Zero(o, l)),
        range.prop_map(|(o, l)| Op::Read(o, l as usize)),
    ]
}

proptest! {
    #[test]
    fn byte_ranges_behave_as_on_a_plain_array(ops in prop::collection::vec(op(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (device, controls) = device(16);
            let mut array = vec![0u8; 16 * 4096];
            for op in ops {
                match op {
                    Op::Write(offset, data) => {
                        array[offset as usize..][..data.len()].copy_from_slice(&data);
                        device.write(offset, data.into(), false).await.unwrap();
                    }
                    Op::Zero(offset, length) => {
                        array[offset as usize..][..length as usize].fill(0);
                        device.write_zeroes(offset, length, Space::MayRelease, true).await.unwrap();
                    }
                    Op::Read(offset, length) => {
                        let mut buffer = vec![0xee; length];
                        device.read(offset, &mut buffer).await.unwrap();
                        assert_eq!(buffer, array[offset as usize..][..length]);
                    }
                }
            }
            assert_eq!(*controls.content.lock().unwrap(), array);
        });
    }
}
