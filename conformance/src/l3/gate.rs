//! The gate between the two ends of a session: a proxy on the loopback that knows where a frame ends.
//!
//! Both ends hold real sockets; what passes, when, and in which pieces is the rig's to say. Shut, it
//! takes what comes and lets nothing through. Every frame that passes is written in two pieces, cut at
//! another byte each time. A stream can be cut between frames, inside one, or on one side alone.
//!
//! Must never: change a byte, or let anything through that it was not told to.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::BytesMut;
use holdfast_wire::{Frame, FrameDecoder, FrameType, encode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Where a stream is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cut {
    /// Before anything more is sent.
    Before,
    /// Everything is sent; the answers are lost.
    Answers,
    /// Everything is sent, and the first answer is lost in its middle.
    InsideAnAnswer,
    /// The next request is lost in its middle.
    InsideARequest,
    /// The primary's side alone: what it sent comes late.
    OneSide,
}

impl Cut {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Before,
        Self::Answers,
        Self::InsideAnAnswer,
        Self::InsideARequest,
        Self::OneSide,
    ];
}

/// What passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// Nothing.
    Shut,
    /// Everything.
    Open,
    /// Requests pass, answers wait.
    Requests,
    /// It is over.
    Cut(Cut),
}

/// What has passed, of requests that are answered and of their answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Passed {
    requests: u64,
    answers: u64,
    /// The replica has closed its side: nothing more is answered.
    closed: bool,
}

/// A gate for one connection.
pub struct Gate {
    /// Where the primary connects to.
    pub address: SocketAddr,
    passage: watch::Sender<Passage>,
    passed: watch::Receiver<Passed>,
    task: JoinHandle<Result<Remains, std::io::Error>>,
}

/// What is left of a connection that was cut.
pub struct Remains {
    /// The way to the replica, when it was left open.
    pub replica: Option<(OwnedReadHalf, OwnedWriteHalf)>,
    /// Frames that were sent and did not pass, and the last one that did, once more.
    pub late: Vec<Frame>,
    /// Whether a frame was cut in its middle.
    pub torn: bool,
}

impl Gate {
    /// A gate in front of a replica, shut.
    ///
    /// # Errors
    /// When there is no port for it.
    pub fn before(replica: SocketAddr, runtime: &Handle) -> std::io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (passage, commands) = watch::channel(Passage::Shut);
        let (counted, passed) = watch::channel(Passed::default());
        let _entered = runtime.enter();
        let listener = TcpListener::from_std(listener)?;
        let task = runtime.spawn(keep(listener, replica, commands, counted));
        Ok(Self {
            address,
            passage,
            passed,
            task,
        })
    }

    /// Says what passes from now on.
    pub fn let_pass(&self, passage: Passage) {
        self.passage.send_replace(passage);
    }

    /// Resolves when every request that passed was answered, or nothing is answered any more.
    pub async fn answered(&self) {
        let mut passed = self.passed.clone();
        // A gate that is over answers nothing.
        let _ = passed
            .wait_for(|passed| passed.closed || passed.answers >= passed.requests)
            .await;
    }

    /// Cuts the stream; what is left of it.
    ///
    /// # Errors
    /// What the gate's own sockets said.
    pub async fn cut(self, cut: Cut) -> std::io::Result<Remains> {
        self.let_pass(Passage::Cut(cut));
        match self.task.await {
            Ok(remains) => remains,
            Err(error) => Err(std::io::Error::other(error)),
        }
    }
}

/// Waits until the passage is one of those.
async fn until(
    commands: &mut watch::Receiver<Passage>,
    is_it: impl FnMut(&Passage) -> bool,
) -> Passage {
    match commands.wait_for(is_it).await {
        Ok(passage) => *passage,
        // Dropped: over.
        Err(_) => Passage::Cut(Cut::Before),
    }
}

const NOTHING_LEFT: Remains = Remains {
    replica: None,
    late: Vec::new(),
    torn: false,
};

async fn keep(
    listener: TcpListener,
    replica: SocketAddr,
    mut commands: watch::Receiver<Passage>,
    counted: watch::Sender<Passed>,
) -> std::io::Result<Remains> {
    let mut waiting = commands.clone();
    let primary = tokio::select! {
        accepted = listener.accept() => accepted?.0,
        _ = until(&mut waiting, |passage| matches!(passage, Passage::Cut(_))) => {
            return Ok(NOTHING_LEFT);
        }
    };
    drop(listener);
    // The replica hears of the connection when there is something to be heard on it.
    let passage = until(&mut commands, |passage| *passage != Passage::Shut).await;
    if let Passage::Cut(_) = passage {
        return Ok(NOTHING_LEFT);
    }
    let replica = TcpStream::connect(replica).await?;
    primary.set_nodelay(true)?;
    replica.set_nodelay(true)?;
    let (from_primary, to_primary) = primary.into_split();
    let (from_replica, to_replica) = replica.into_split();
    let requests = Way::new(Bound::ToTheReplica, from_primary, to_replica, &counted);
    let answers = Way::new(Bound::ToThePrimary, from_replica, to_primary, &counted);
    let (requests, answers) = tokio::join!(
        requests.keep(commands.clone()),
        answers.keep(commands.clone())
    );
    let cut = match *commands.borrow() {
        Passage::Cut(cut) => cut,
        Passage::Shut | Passage::Open | Passage::Requests => Cut::Before,
    };
    end(cut, requests, answers).await
}

/// Ends both ways of a connection.
async fn end(cut: Cut, mut requests: Way, mut answers: Way) -> std::io::Result<Remains> {
    let torn = match cut {
        Cut::Before | Cut::Answers => false,
        Cut::InsideAnAnswer => answers.tear().await,
        Cut::InsideARequest => requests.tear().await,
        Cut::OneSide => {
            let mut late: Vec<Frame> = requests.waiting.drain(..).collect();
            late.extend(requests.last);
            return Ok(Remains {
                replica: Some((answers.reader, requests.writer)),
                late,
                torn: false,
            });
        }
    };
    Ok(Remains {
        torn,
        ..NOTHING_LEFT
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bound {
    ToTheReplica,
    ToThePrimary,
}

/// One direction.
struct Way {
    bound: Bound,
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    decoder: FrameDecoder,
    waiting: VecDeque<Frame>,
    /// The frame that passed last.
    last: Option<Frame>,
    /// Nothing more comes.
    ended: bool,
    pieces: usize,
    counted: watch::Sender<Passed>,
}

impl Way {
    fn new(
        bound: Bound,
        reader: OwnedReadHalf,
        writer: OwnedWriteHalf,
        counted: &watch::Sender<Passed>,
    ) -> Self {
        Self {
            bound,
            reader,
            writer,
            decoder: FrameDecoder::new(),
            waiting: VecDeque::new(),
            last: None,
            ended: false,
            pieces: 0,
            counted: counted.clone(),
        }
    }

    /// Carries frames until the stream is cut.
    async fn keep(mut self, mut commands: watch::Receiver<Passage>) -> Self {
        loop {
            let passage = *commands.borrow_and_update();
            let passes = match (passage, self.bound) {
                (Passage::Cut(_), _) => break,
                (Passage::Open, _) | (Passage::Requests, Bound::ToTheReplica) => true,
                (Passage::Shut, _) | (Passage::Requests, Bound::ToThePrimary) => false,
            };
            if passes {
                while let Some(frame) = self.waiting.pop_front() {
                    // Whoever closed hears nothing more; that is for the ends to notice.
                    let _ = self.pass(frame).await;
                }
                if self.ended {
                    let _ = self.writer.shutdown().await;
                }
            }
            tokio::select! {
                biased;
                changed = commands.changed() => if changed.is_err() { break },
                () = self.take(), if !self.ended => {}
            }
        }
        // What was sent before the cut is here, whether or not it was taken yet.
        self.take_what_is_there();
        self
    }

    async fn take(&mut self) {
        match self.reader.read_buf(self.decoder.buffer_mut()).await {
            Ok(0) | Err(_) => self.end(),
            Ok(_) => self.frames(),
        }
    }

    fn take_what_is_there(&mut self) {
        while !self.ended {
            match self.reader.try_read_buf(self.decoder.buffer_mut()) {
                Ok(0) | Err(_) => return,
                Ok(_) => self.frames(),
            }
        }
    }

    fn end(&mut self) {
        self.ended = true;
        if self.bound == Bound::ToThePrimary {
            self.counted.send_modify(|passed| passed.closed = true);
        }
    }

    fn frames(&mut self) {
        loop {
            match self.decoder.next_frame() {
                Ok(Some(frame)) => {
                    if self.bound == Bound::ToThePrimary {
                        self.counted.send_modify(|passed| passed.answers += 1);
                    }
                    self.waiting.push_back(frame);
                }
                Ok(None) => return,
                // The ends of a production stream send frames: the other end is told by silence.
                Err(_) => return self.end(),
            }
        }
    }

    async fn pass(&mut self, frame: Frame) -> std::io::Result<()> {
        let bytes = bytes_of(&frame);
        if self.bound == Bound::ToTheReplica {
            self.last = Some(frame);
            self.counted.send_modify(|passed| passed.requests += 1);
        }
        self.pieces += 1;
        let (first, rest) = bytes.split_at(1 + self.pieces * 7 % (bytes.len() - 1));
        self.writer.write_all(first).await?;
        self.writer.write_all(rest).await
    }

    /// Sends half of the next frame, if there is one.
    async fn tear(&mut self) -> bool {
        let Some(frame) = self.waiting.pop_front() else {
            return false;
        };
        let bytes = bytes_of(&frame);
        let half = &bytes[..bytes.len() / 2];
        self.writer.write_all(half).await.is_ok()
    }
}

fn bytes_of(frame: &Frame) -> BytesMut {
    let mut bytes = BytesMut::new();
    // It was decoded from bytes.
    encode(frame, &mut bytes).expect("a frame that came is a frame");
    bytes
}

/// Delivers what comes late on a connection whose session is over. The replica must end it, with a
/// refusal or without a word, and answer nothing else.
///
/// # Errors
/// What it did instead.
pub async fn deliver_late(
    (mut reader, mut writer): (OwnedReadHalf, OwnedWriteHalf),
    late: &[Frame],
) -> Result<(), String> {
    for frame in late {
        // It may have closed already.
        if writer.write_all(&bytes_of(frame)).await.is_err() {
            break;
        }
    }
    let mut decoder = FrameDecoder::new();
    loop {
        match reader.read_buf(decoder.buffer_mut()).await {
            // Bytes that nobody read any more make a reset of a close.
            Ok(0) | Err(_) => return Ok(()),
            Ok(_) => {}
        }
        while let Some(frame) = decoder.next_frame().map_err(|error| error.to_string())? {
            let answer = frame.message.frame_type();
            if answer != FrameType::Refusal {
                return Err(format!("a session that is over was answered: {answer:?}"));
            }
        }
    }
}
