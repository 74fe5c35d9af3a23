//! The authority that another node serves, over its control protocol.

use std::net::SocketAddr;
use std::time::Duration;

use holdfast_types::{VolumeId, VolumeRecord};

use super::{
    Answer, Authority, AuthorityError, LeaseGrant, LeaseRequest, RecordVersion, Recorded,
    RecoverRequest,
};
use crate::runtime::{ControlClient, ControlError, ControlReply, ControlRequest};

/// A client of an authority elsewhere. An answer that does not come leaves the outcome unknown.
#[derive(Clone, Debug)]
pub struct RemoteAuthority {
    client: ControlClient,
}

impl RemoteAuthority {
    /// Asks the node at `address`, and waits at most `wait` for each answer.
    #[must_use]
    pub const fn new(address: SocketAddr, wait: Duration) -> Self {
        Self {
            client: ControlClient::tcp(address, wait),
        }
    }

    /// Asks through a client.
    #[must_use]
    pub const fn over(client: ControlClient) -> Self {
        Self { client }
    }

    async fn ask(&self, request: ControlRequest) -> Result<ControlReply, AuthorityError> {
        self.client
            .ask(&request)
            .await
            .map_err(|error| match error {
                ControlError::Authority(error) => error,
                ControlError::Unreachable { .. }
                | ControlError::Failed { .. }
                | ControlError::Unexpected { .. } => AuthorityError::Unreachable {
                    detail: error.to_string(),
                },
            })
    }

    fn unexpected(&self) -> AuthorityError {
        AuthorityError::Unreachable {
            detail: self.client.unexpected().to_string(),
        }
    }

    async fn ask_recorded(&self, request: ControlRequest) -> Result<Recorded, AuthorityError> {
        if let ControlReply::Recorded { recorded } = self.ask(request).await? {
            return Ok(*recorded);
        }
        Err(self.unexpected())
    }
}

impl Authority for RemoteAuthority {
    fn volumes(&self) -> Answer<'_, Vec<Recorded>> {
        Box::pin(async {
            if let ControlReply::Records { records } =
                self.ask(ControlRequest::AuthorityVolumes).await?
            {
                return Ok(records);
            }
            Err(self.unexpected())
        })
    }

    fn read(&self, volume: VolumeId) -> Answer<'_, Recorded> {
        Box::pin(self.ask_recorded(ControlRequest::AuthorityRead { volume }))
    }

    fn create(&self, record: VolumeRecord) -> Answer<'_, Recorded> {
        let record = Box::new(record);
        Box::pin(self.ask_recorded(ControlRequest::AuthorityCreate { record }))
    }

    fn compare_and_set(
        &self,
        expected: RecordVersion,
        record: VolumeRecord,
    ) -> Answer<'_, Recorded> {
        let record = Box::new(record);
        Box::pin(self.ask_recorded(ControlRequest::AuthorityCompareAndSet { expected, record }))
    }

    fn mint_epoch(&self, volume: VolumeId, expected: RecordVersion) -> Answer<'_, Recorded> {
        Box::pin(self.ask_recorded(ControlRequest::AuthorityMint { volume, expected }))
    }

    fn recover(&self, request: RecoverRequest) -> Answer<'_, Recorded> {
        Box::pin(self.ask_recorded(ControlRequest::AuthorityRecover(request)))
    }

    fn delete(&self, volume: VolumeId, expected: RecordVersion) -> Answer<'_, Recorded> {
        Box::pin(self.ask_recorded(ControlRequest::AuthorityDelete { volume, expected }))
    }

    fn renew_lease(&self, request: LeaseRequest) -> Answer<'_, LeaseGrant> {
        Box::pin(async move {
            if let ControlReply::Lease(grant) =
                self.ask(ControlRequest::AuthorityRenew(request)).await?
            {
                return Ok(grant);
            }
            Err(self.unexpected())
        })
    }

    fn end_lease(&self, request: LeaseRequest) -> Answer<'_, ()> {
        Box::pin(async move {
            match self.ask(ControlRequest::AuthorityEnd(request)).await? {
                ControlReply::Done => Ok(()),
                ControlReply::Node(_)
                | ControlReply::Store { .. }
                | ControlReply::Fenced { .. }
                | ControlReply::Recorded { .. }
                | ControlReply::Records { .. }
                | ControlReply::Ordered(_)
                | ControlReply::Copy(_)
                | ControlReply::Plan(_)
                | ControlReply::Promoted { .. }
                | ControlReply::Status(_)
                | ControlReply::Events { .. }
                | ControlReply::Lease(_)
                | ControlReply::AuthorityError { .. }
                | ControlReply::Failed { .. } => Err(self.unexpected()),
            }
        })
    }
}
