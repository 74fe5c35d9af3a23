//! Values that differ in one field are held against each other: a comparer that does not see one makes
//! the level red.

use holdfast_model::storage::vocabulary::Entry;

use super::Lens;
use super::view::{Expected, Positions, Serves, View};

fn open() -> View {
    let (old, new) = (Entry::new(2, 1, false), Entry::new(3, 1, false));
    View {
        serves: Serves::All,
        positions: Some(Positions {
            head: 6,
            durable: 5,
            committed: 5,
            checkpoint: 3,
            extent_bound: 4,
            tail: 1,
        }),
        blocks: Some([new, old]),
        image: [new, old],
        durable_image: [old, old],
        unsynced_log: 1 << 6,
        superblock_in_flight: false,
        unsynced_image: 1,
        snapshot: Some((old, [old, old])),
        serving: true,
    }
}

fn at(change: fn(&mut Positions)) -> impl Fn(&mut View) {
    move |view| {
        if let Some(positions) = &mut view.positions {
            change(positions);
        }
    }
}

/// What makes a view another one.
type Change = Box<dyn Fn(&mut View)>;

/// How many differences the comparer does not see, and whether it sees one where there is none.
pub(super) fn blind_spots(lens: &Lens) -> u64 {
    let said = Expected {
        view: open(),
        bound_from: 4,
        tail_to: 1,
    };
    let other = Entry::new(5, 2, false);
    let changes: Vec<Change> = vec![
        Box::new(|view| view.serves = Serves::Stopped),
        Box::new(|view| view.positions = None),
        Box::new(at(|positions| positions.head += 1)),
        Box::new(at(|positions| positions.durable -= 1)),
        Box::new(at(|positions| positions.committed -= 1)),
        Box::new(at(|positions| positions.checkpoint += 1)),
        Box::new(at(|positions| positions.extent_bound += 1)),
        Box::new(at(|positions| positions.extent_bound -= 1)),
        Box::new(at(|positions| positions.tail += 1)),
        Box::new(at(|positions| positions.tail -= 1)),
        Box::new(|view| view.blocks = None),
        Box::new(move |view| view.blocks = view.blocks.map(|[_, second]| [other, second])),
        Box::new(move |view| view.blocks = view.blocks.map(|[first, _]| [first, other])),
        Box::new(move |view| view.image[1] = other),
        Box::new(move |view| view.durable_image[0] = other),
        Box::new(|view| view.unsynced_log = 0),
        Box::new(|view| view.superblock_in_flight = true),
        Box::new(|view| view.unsynced_image = 2),
        Box::new(|view| view.snapshot = None),
        Box::new(move |view| {
            view.snapshot = view.snapshot.map(|(name, _)| (name, [other, other]));
        }),
        Box::new(move |view| view.snapshot = view.snapshot.map(|(_, content)| (other, content))),
        Box::new(|view| view.serving = false),
    ];
    let unseen = changes.iter().filter(|change| {
        let mut changed = open();
        change(&mut changed);
        (lens.same)(&said, &changed)
    });
    unseen.count() as u64 + u64::from(!(lens.same)(&said, &open()))
}
