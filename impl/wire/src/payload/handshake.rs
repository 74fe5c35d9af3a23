//! `Hello` and `HelloAck`.

use bytes::{BufMut, BytesMut};
use holdfast_types::{BaseState, ReplicaFacts, ReplicaId};

use crate::error::{EncodeError, WireError};
use crate::fields::{Fields, put_lineage, put_position, put_text};
use crate::header::VersionRange;
use crate::message::{Hello, HelloAck};

pub(super) fn encode_hello(hello: &Hello, out: &mut BytesMut) {
    out.put_u16_le(hello.versions.min);
    out.put_u16_le(hello.versions.max);
    out.put_u64_le(hello.blocks);
    put_position(out, hello.head);
    put_text(out, hello.primary.as_str(), ReplicaId::MAX_LEN);
    out.put_slice(hello.store.0.as_bytes());
}

pub(super) fn decode_hello(fields: &mut Fields) -> Result<Hello, WireError> {
    Ok(Hello {
        versions: VersionRange {
            min: fields.u16("oldest version")?,
            max: fields.u16("newest version")?,
        },
        blocks: fields.u64("blocks")?,
        head: fields.position("head")?,
        primary: fields.replica("primary")?,
        store: fields.store("store")?,
    })
}

pub(super) fn encode_hello_ack(ack: &HelloAck, out: &mut BytesMut) -> Result<(), EncodeError> {
    out.put_u16_le(ack.version);
    out.put_u64_le(ack.blocks);
    out.put_u64_le(ack.log_bytes);
    out.put_slice(ack.facts.store.0.as_bytes());
    out.put_u64_le(ack.facts.base.checkpoint.0);
    out.put_u64_le(ack.facts.base.extent_bound.0);
    out.put_u64_le(ack.facts.base.durable.0);
    put_lineage(out, &ack.facts.lineage)
}

pub(super) fn decode_hello_ack(fields: &mut Fields) -> Result<HelloAck, WireError> {
    Ok(HelloAck {
        version: fields.u16("version")?,
        blocks: fields.u64("blocks")?,
        log_bytes: fields.u64("log bytes")?,
        facts: ReplicaFacts {
            store: fields.store("store")?,
            base: BaseState {
                checkpoint: fields.lsn("checkpoint")?,
                extent_bound: fields.lsn("extent bound")?,
                durable: fields.lsn("durable")?,
            },
            lineage: fields.lineage()?,
        },
    })
}
