//! The client's side of the handshake: fixed newstyle, one `GO` that asks for the block sizes.

use bytes::{Buf, BufMut, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::super::export::ExportInfo;
use super::super::proto::{
    GREETING_LEN, MAX_STRING, NBD_MAGIC, OPTION_MAGIC, OPTION_REPLY_HEADER_LEN, OPTION_REPLY_MAGIC,
    handshake, info, option, option_reply, transmission_flags,
};
use super::ClientError;

/// The longest reply to an option that this client takes, in bytes.
const REPLY_DATA_MAX: usize = 2 * MAX_STRING;

/// Attaches to `export`; the transmission phase begins when it returns.
pub(super) async fn go<S>(socket: &mut S, export: &str) -> Result<ExportInfo, ClientError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    greet(socket).await?;
    socket.write_all(&go_option(export)?).await?;
    let mut told = None;
    loop {
        let (reply, data) = option_reply(socket).await?;
        match reply {
            option_reply::INFO => {
                if let Some(info) = export_info(&data)? {
                    told = Some(info);
                }
            }
            option_reply::ACK => {
                return told.ok_or_else(|| {
                    ClientError::Protocol("GO was acknowledged without a size".to_owned())
                });
            }
            error if error & option_reply::ERROR_BIT != 0 => {
                return Err(ClientError::Refused {
                    export: export.to_owned(),
                    reply: error,
                    message: String::from_utf8_lossy(&data).into_owned(),
                });
            }
            other => {
                return Err(ClientError::Protocol(format!("reply {other} to GO")));
            }
        }
    }
}

async fn greet<S>(socket: &mut S) -> Result<(), ClientError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut greeting = [0; GREETING_LEN];
    socket.read_exact(&mut greeting).await?;
    let mut fields = &greeting[..];
    let (magic, style, flags) = (fields.get_u64(), fields.get_u64(), fields.get_u16());
    if magic != NBD_MAGIC || style != OPTION_MAGIC {
        return Err(ClientError::Protocol(
            "no newstyle NBD server answers there".to_owned(),
        ));
    }
    if flags & handshake::FIXED_NEWSTYLE == 0 {
        return Err(ClientError::Protocol(
            "the server does not know fixed newstyle".to_owned(),
        ));
    }
    let answer = u32::from(flags & (handshake::FIXED_NEWSTYLE | handshake::NO_ZEROES));
    socket.write_all(&answer.to_be_bytes()).await?;
    Ok(())
}

fn go_option(export: &str) -> Result<BytesMut, ClientError> {
    let too_long =
        || ClientError::Protocol(format!("export names have at most {MAX_STRING} bytes"));
    let name_length = u32::try_from(export.len())
        .ok()
        .filter(|length| *length as usize <= MAX_STRING)
        .ok_or_else(too_long)?;
    let mut out = BytesMut::new();
    out.put_u64(OPTION_MAGIC);
    out.put_u32(option::GO);
    out.put_u32(4 + name_length + 2 + 2);
    out.put_u32(name_length);
    out.put_slice(export.as_bytes());
    out.put_u16(1);
    out.put_u16(info::BLOCK_SIZE);
    Ok(out)
}

async fn option_reply<S>(socket: &mut S) -> Result<(u32, Vec<u8>), ClientError>
where
    S: AsyncRead + Unpin,
{
    let mut head = [0; OPTION_REPLY_HEADER_LEN];
    socket.read_exact(&mut head).await?;
    let mut fields = &head[..];
    let (magic, option) = (fields.get_u64(), fields.get_u32());
    let (reply, length) = (fields.get_u32(), fields.get_u32() as usize);
    if magic != OPTION_REPLY_MAGIC || option != option::GO || length > REPLY_DATA_MAX {
        return Err(ClientError::Protocol(format!(
            "no reply to GO: magic {magic:#x}, option {option}, {length} bytes"
        )));
    }
    let mut data = vec![0; length];
    socket.read_exact(&mut data).await?;
    Ok((reply, data))
}

/// The export's facts, if this is the piece of information that holds them.
fn export_info(mut data: &[u8]) -> Result<Option<ExportInfo>, ClientError> {
    let short = || ClientError::Protocol("a piece of export information is cut short".to_owned());
    if data.len() < 2 {
        return Err(short());
    }
    if data.get_u16() != info::EXPORT {
        return Ok(None);
    }
    if data.len() != 10 {
        return Err(short());
    }
    let (size, flags) = (data.get_u64(), data.get_u16());
    Ok(Some(ExportInfo {
        size,
        read_only: flags & transmission_flags::READ_ONLY != 0,
    }))
}
