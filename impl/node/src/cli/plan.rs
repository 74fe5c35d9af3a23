//! `holdfast plan`.

use std::time::Duration;

use clap::Args;
use holdfast_types::ReplicaId;

use super::{At, Failure, print_json};
use crate::controller::plan::{Afterwards, Plan, PlannedDecision, PlannedReport};
use crate::runtime::{ControlReply, ControlRequest};

/// Every member is asked, and given a moment.
const WAIT: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    /// Name or id of the volume.
    volume: String,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
}

pub(super) async fn run(args: PlanArgs) -> Result<(), Failure> {
    let request = ControlRequest::Plan {
        volume: args.volume,
    };
    let ControlReply::Plan(plan) = args.at.ask(&request, WAIT).await? else {
        return Err(Failure::unexpected());
    };
    if args.json {
        return print_json(&plan);
    }
    print(&plan);
    Ok(())
}

fn print(plan: &Plan) {
    let record = &plan.record;
    println!(
        "{}: epoch {}, primary {}; a promotion would mint epoch {}",
        record.name,
        record.epoch,
        record.primary.as_ref().map_or("none", ReplicaId::as_str),
        record.epoch.next(),
    );
    for (replica, report) in &plan.reports {
        println!("  {}", sentence(replica, report));
    }
    for replica in &plan.silent {
        println!("  {replica} does not answer");
    }
    match &plan.decision {
        PlannedDecision::Promote { promotion } => {
            println!("{} would be promoted", promotion.primary);
            if promotion.may_have_lost_power() {
                println!("writes that were not flushed may be lost, as by a loss of power");
            }
        }
        PlannedDecision::Impossible { obstacle } => println!("nobody would be: {obstacle}"),
    }
}

fn sentence(replica: &ReplicaId, report: &PlannedReport) -> String {
    let mut said = format!("{replica} ends at {}/{}", report.last_epoch, report.durable);
    if !report.recorded {
        said.push_str(", and is not the recorded store");
    }
    if !report.trusted {
        said.push_str(", and is not trusted");
    }
    if !report.whole {
        said.push_str(", and may lack what it had received before it was restarted");
    }
    match report.then {
        None => {}
        Some(Afterwards::CatchUp { after }) => {
            said.push_str(&format!(": would be caught up from {after}"));
        }
        Some(Afterwards::Truncate { to }) => {
            said.push_str(&format!(": would be cut to {to}, then caught up"));
        }
        Some(Afterwards::Rebuild) => said.push_str(": would be rebuilt"),
    }
    said
}
