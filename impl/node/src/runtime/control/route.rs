//! Where each request stands in the HTTP API, and how its answer reads there.
//!
//! | request | route | answer |
//! | --- | --- | --- |
//! | status | `GET /v1/status` | the node and its volumes |
//! | events | `GET /v1/events?after=SEQUENCE` | a list, oldest first |
//! | list volumes | `GET /v1/volumes` | a list of records |
//! | create a volume | `POST /v1/volumes` | the promotion and the record |
//! | set | `POST /v1/volumes/VOLUME/set` | the record |
//! | evict a member | `POST /v1/volumes/VOLUME/evict` | the record |
//! | another order | `POST /v1/volumes/VOLUME/orders/ORDER` | what came of it ([`super::Order`]) |
//! | delete | `POST /v1/volumes/VOLUME/delete` | nothing |
//! | plan | `GET /v1/volumes/VOLUME/plan` | what a promotion would decide, and why |
//! | promote | `POST /v1/volumes/VOLUME/promote` | the promotion and the record |
//! | recover the authority | `POST /v1/volumes/VOLUME/recover-authority` | the promotion and the record |
//! | replace a store | `POST /v1/volumes/VOLUME/replace-store` | the new store |
//! | stop the node | `POST /v1/shutdown` | nothing |
//! | anything between nodes | `POST /v1/node` | the answer, tagged |
//!
//! `VOLUME` is a name or an id. A body is one JSON object, of at most 1 MiB; a field or a parameter
//! that is not known is refused. What is refused is answered by its [`super::Problem`].

use std::collections::BTreeSet;

use holdfast_types::{ReplicaId, StoreId, VolumeRecord};
use serde::{Deserialize, Serialize};

use super::request::{ControlReply, ControlRequest};
use crate::controller::decide::Promotion;

/// The most bytes of a request's body.
pub(super) const REQUEST_MAX: usize = 1 << 20;

/// The most bytes of an answer's body that a client takes.
pub(super) const REPLY_MAX: usize = 16 << 20;

/// What a promotion is asked for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PromoteBody {
    #[serde(default)]
    pub(super) replica: Option<ReplicaId>,
    #[serde(default)]
    pub(super) forced: bool,
}

/// What moving the authority forward is asked for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecoverBody {
    pub(super) keep: ReplicaId,
    #[serde(default)]
    pub(super) without: BTreeSet<ReplicaId>,
}

/// What becomes of the volumes of a node that is stopped: `true` has other copies take over.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShutdownBody {
    #[serde(default = "yes")]
    pub(super) hand_over: bool,
}

const fn yes() -> bool {
    true
}

/// The member that is to leave the in-sync set.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EvictBody {
    pub(super) replica: ReplicaId,
}

/// A volume that is to be deleted.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeleteBody {
    /// Its name once more.
    pub(super) yes: String,
    #[serde(default)]
    pub(super) force: bool,
}

/// The parameters of `GET /v1/events`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    pub(super) after: Option<u64>,
}

/// A promotion that was carried out.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Promoted {
    pub(super) promotion: Box<Promotion>,
    pub(super) record: Box<VolumeRecord>,
}

/// A store that was made.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct MadeStore {
    pub(super) store: StoreId,
}

/// A request as it is sent.
#[derive(Debug)]
pub(super) struct Call {
    /// Whether it changes anything: `POST`, else `GET`.
    pub(super) changes: bool,
    pub(super) path: String,
    pub(super) body: Vec<u8>,
}

impl Call {
    fn get(path: impl Into<String>) -> Self {
        Self {
            changes: false,
            path: path.into(),
            body: Vec::new(),
        }
    }

    fn post(path: impl Into<String>, body: &impl Serialize) -> serde_json::Result<Self> {
        Ok(Self {
            changes: true,
            path: path.into(),
            body: serde_json::to_vec(body)?,
        })
    }
}

/// How a request is sent, and how its answer reads.
pub(super) struct Route {
    pub(super) call: serde_json::Result<Call>,
    pub(super) read: fn(&[u8]) -> serde_json::Result<ControlReply>,
}

impl ControlRequest {
    /// Whether it has a route of its own, where people and programs meet it.
    pub(super) fn has_own_route(&self) -> bool {
        self.own_route().is_some()
    }

    /// What nodes ask of each other shares one route, whose answers are tagged.
    pub(super) fn route(&self) -> Route {
        self.own_route().unwrap_or_else(|| Route {
            call: Call::post("/v1/node", self),
            read: |body| serde_json::from_slice(body),
        })
    }

    /// `None` for what nodes ask of each other.
    fn own_route(&self) -> Option<Route> {
        let of = |volume: &str, what: &str| format!("/v1/volumes/{}/{what}", encoded(volume));
        let route = match self {
            Self::Status => Route {
                call: Ok(Call::get("/v1/status")),
                read: |body| serde_json::from_slice(body).map(ControlReply::Status),
            },
            Self::Events { after } => Route {
                call: Ok(Call::get(match after {
                    None => "/v1/events".to_owned(),
                    Some(after) => format!("/v1/events?after={after}"),
                })),
                read: |body| {
                    serde_json::from_slice(body).map(|events| ControlReply::Events { events })
                },
            },
            Self::ListVolumes => Route {
                call: Ok(Call::get("/v1/volumes")),
                read: |body| {
                    serde_json::from_slice(body).map(|records| ControlReply::Records { records })
                },
            },
            Self::CreateVolume(plan) => Route {
                call: Call::post("/v1/volumes", plan),
                read: promoted,
            },
            Self::SetVolume { volume, change } => Route {
                call: Call::post(of(volume, "set"), change),
                read: recorded,
            },
            Self::EvictReplica { volume, replica } => {
                let replica = replica.clone();
                Route {
                    call: Call::post(of(volume, "evict"), &EvictBody { replica }),
                    read: recorded,
                }
            }
            Self::Order { volume, order } => Route {
                call: order.body().and_then(|body| {
                    let order = format!("orders/{}", order.name());
                    Call::post(of(volume, &order), &body)
                }),
                read: |body| serde_json::from_slice(body).map(ControlReply::Ordered),
            },
            Self::DeleteVolume { volume, yes, force } => {
                let (yes, force) = (yes.clone(), *force);
                Route {
                    call: Call::post(of(volume, "delete"), &DeleteBody { yes, force }),
                    read: |_| Ok(ControlReply::Done),
                }
            }
            Self::Plan { volume } => Route {
                call: Ok(Call::get(of(volume, "plan"))),
                read: |body| serde_json::from_slice(body).map(ControlReply::Plan),
            },
            Self::Promote {
                volume,
                replica,
                forced,
            } => {
                let (replica, forced) = (replica.clone(), *forced);
                Route {
                    call: Call::post(of(volume, "promote"), &PromoteBody { replica, forced }),
                    read: promoted,
                }
            }
            Self::RecoverAuthority {
                volume,
                keep,
                without,
            } => {
                let (keep, without) = (keep.clone(), without.clone());
                let body = RecoverBody { keep, without };
                Route {
                    call: Call::post(of(volume, "recover-authority"), &body),
                    read: promoted,
                }
            }
            Self::ReplaceStore { volume } => Route {
                call: Call::post(of(volume, "replace-store"), &serde_json::json!({})),
                read: |body| {
                    let MadeStore { store } = serde_json::from_slice(body)?;
                    Ok(ControlReply::Store { store })
                },
            },
            Self::Shutdown { hand_over } => {
                let hand_over = *hand_over;
                Route {
                    call: Call::post("/v1/shutdown", &ShutdownBody { hand_over }),
                    read: |_| Ok(ControlReply::Done),
                }
            }
            Self::Identify
            | Self::CreateStore { .. }
            | Self::Fence { .. }
            | Self::Report { .. }
            | Self::StepDown { .. }
            | Self::RecordChanged { .. }
            | Self::Copy { .. }
            | Self::AuthorityVolumes
            | Self::AuthorityRead { .. }
            | Self::AuthorityCreate { .. }
            | Self::AuthorityCompareAndSet { .. }
            | Self::AuthorityMint { .. }
            | Self::AuthorityDelete { .. }
            | Self::AuthorityRecover(_)
            | Self::AuthorityRenew(_)
            | Self::AuthorityEnd(_) => return None,
        };
        Some(route)
    }
}

fn promoted(body: &[u8]) -> serde_json::Result<ControlReply> {
    let Promoted { promotion, record } = serde_json::from_slice(body)?;
    Ok(ControlReply::Promoted { promotion, record })
}

fn recorded(body: &[u8]) -> serde_json::Result<ControlReply> {
    let recorded = Box::new(serde_json::from_slice(body)?);
    Ok(ControlReply::Recorded { recorded })
}

/// A text as one segment of a path.
fn encoded(segment: &str) -> String {
    let mut out = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::encoded;

    #[test]
    fn a_name_with_any_character_is_one_segment() {
        assert_eq!(encoded("plain-1.x"), "plain-1.x");
        assert_eq!(encoded("a/b c?ü"), "a%2Fb%20c%3F%C3%BC");
    }
}
