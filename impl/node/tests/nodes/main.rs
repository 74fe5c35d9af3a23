//! Nodes in one process, over real files and real sockets.

mod api;
mod cluster;
mod configuration;
mod data_port;
mod failover;
mod membership;
mod mutual_tls;
mod operator;
mod peer;
mod support;
mod whole_volume;
