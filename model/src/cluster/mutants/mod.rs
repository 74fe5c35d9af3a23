//! Rules switched off, one at a time: which property must see it, and in which shape.

mod authority;
mod images;
mod members;
mod stream;

use super::{Broken, Cluster, instances};
use crate::checking::Mutant;

/// Id, what was done, the rule, the instance that shows it, the property that falls.
type Row = (
    &'static str,
    &'static str,
    Broken,
    &'static str,
    &'static str,
);

/// All of them.
pub(super) fn mutants() -> Vec<Mutant<Cluster>> {
    let mutant = |&(id, says, broken, instance, property): &Row| {
        let sound = instances::at(instance)?;
        let spec = Cluster {
            broken: Some(broken),
            given_up: None,
            ..sound
        };
        Some(Mutant {
            id: id.to_owned(),
            says: says.to_owned(),
            property: Some(property),
            spec,
        })
    };
    [stream::ROWS, members::ROWS, images::ROWS, authority::ROWS]
        .into_iter()
        .flatten()
        .filter_map(mutant)
        .collect()
}
