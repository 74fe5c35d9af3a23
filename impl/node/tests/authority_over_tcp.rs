//! The authority that one node serves to others keeps every rule of the trait, over TCP as well.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use holdfast_node::authority::conformance::{Rig, check};
use holdfast_node::authority::{Authority, RemoteAuthority};
use holdfast_node::config::{AuthorityConfig, Config, Loaded};
use holdfast_node::runtime::Node;

const TERM: Duration = Duration::from_millis(400);

fn config(directory: &Path, authority: SocketAddr) -> Config {
    let place = directory.display();
    let text = format!(
        "[node]\nid = \"keeper\"\ndata_dir = \"{place}\"\n\
         replication_listen = \"127.0.0.1:0\"\ncontrol_listen = \"127.0.0.1:0\"\n\
         [nbd]\nlisten = \"none\"\n\
         [authority]\nlisten = \"{authority}\"\n\
         [lease]\nduration = \"{}ms\"\nmargin = \"50ms\"\n",
        TERM.as_millis()
    );
    let loaded = Loaded::from_text(&text, Path::new("keeper.toml"), std::iter::empty()).unwrap();
    assert!(matches!(
        loaded.config.authority,
        AuthorityConfig::Embedded { .. }
    ));
    loaded.config
}

struct OverTcp {
    directory: tempfile::TempDir,
    node: Option<Node>,
    address: SocketAddr,
    authority: RemoteAuthority,
}

impl Rig for OverTcp {
    fn authority(&self) -> &dyn Authority {
        &self.authority
    }

    fn lease_term(&self) -> Duration {
        TERM
    }

    fn advance(&mut self, by: Duration) -> impl Future<Output = ()> {
        tokio::time::sleep(by)
    }

    async fn restart(&mut self) {
        self.node.take().unwrap().crash().await;
        let config = config(self.directory.path(), self.address);
        self.node = Some(Node::start(config).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f89_the_served_authority_keeps_every_rule_across_restarts() {
    let directory = tempfile::tempdir().unwrap();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let node = Node::start(config(directory.path(), any)).await.unwrap();
    let address = node.authority_address().unwrap();
    let mut rig = OverTcp {
        directory,
        node: Some(node),
        address,
        authority: RemoteAuthority::new(address, Duration::from_secs(5)),
    };
    check(&mut rig).await;
    let unreachable = rig.node.take().unwrap();
    unreachable.crash().await;
    let error = rig.authority.volumes().await.unwrap_err();
    assert!(error.is_outcome_unknown(), "{error}");
}
