//! The checker itself can fail: on a toy whose defects are known, each of its findings is seen.

use holdfast_model::checking::{
    Bounds, Check, CheckRow, Effort, Instance, Mutant, Property, Spec, Verdict, check, explore,
    findings,
};
use serde::{Deserialize, Serialize};

/// A counter that climbs to three and may be sent back; with a trap from which nothing leads.
#[derive(Clone)]
struct Toy {
    /// Climbing past three is allowed.
    unbounded: bool,
    /// From three there is a way to the trap.
    trapped: bool,
    /// It says that even and odd numbers are alike, which they are not.
    pairs: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
enum Move {
    Climb,
    Back { to: u8 },
    Fall,
}

const TRAP: u8 = 9;
const INSTANCE: &[Instance] = &[Instance {
    name: "toy",
    purpose: "a toy",
    effort: Effort::Quick,
}];

impl Spec for Toy {
    const NAME: &'static str = "toy";
    type State = u8;
    type Action = Move;
    type Outputs = ();
    type Refusal = char;

    fn instance(&self) -> &Instance {
        &INSTANCE[0]
    }
    fn initial(&self) -> Vec<(&'static str, u8)> {
        vec![("zero", 0)]
    }
    fn calls(&self, _: &u8, calls: &mut Vec<Move>) {
        calls.extend([Move::Climb, Move::Back { to: 0 }]);
        if self.trapped {
            calls.push(Move::Fall);
        }
    }
    fn guard(&self, state: &u8, action: Move) -> Result<(), char> {
        let granted = match action {
            Move::Climb => *state < if self.unbounded { 4 } else { 3 },
            Move::Back { to } => *state > to && *state != TRAP,
            Move::Fall => *state == 3,
        };
        if granted { Ok(()) } else { Err('n') }
    }
    fn apply(&self, state: &u8, action: Move) -> (u8, ()) {
        match action {
            Move::Climb => (state + 1, ()),
            Move::Back { to } => (to, ()),
            Move::Fall => (TRAP, ()),
        }
    }
    fn encode(&self, state: &u8, code: &mut Vec<u8>) {
        code.push(*state);
    }
    fn is_fault(&self, action: Move) -> bool {
        action == Move::Fall
    }
    fn show(&self, state: &u8) -> String {
        state.to_string()
    }
    fn refusals() -> &'static [&'static str] {
        &["no"]
    }
    fn refusal_index(_: &char) -> usize {
        0
    }
    fn properties() -> Vec<Property<Self>> {
        vec![
            Property {
                name: "at most three",
                says: "the counter is at most three, or trapped",
                check: Check::Always(|_, s| Verdict::implies(true, || *s <= 3 || *s == TRAP)),
            },
            Property {
                name: "never asked",
                says: "a seven is odd",
                check: Check::Always(|_, s| Verdict::implies(*s == 7, || true)),
            },
            Property {
                name: "a five is seen",
                says: "a five is seen",
                check: Check::Sometimes(|_, s| *s == 5),
            },
            Property {
                name: "zero again",
                says: "zero can be reached",
                check: Check::Leads {
                    subjects: 1,
                    from: |_, _, _| true,
                    to: |_, s, _| *s == 0,
                },
            },
        ]
    }
    fn symmetries(&self) -> usize {
        usize::from(self.pairs)
    }
    fn renamed(&self, state: &u8, _: usize) -> u8 {
        state ^ 1
    }
    fn instances() -> &'static [Instance] {
        INSTANCE
    }
    fn at(_: &str) -> Option<Self> {
        Some(SOUND)
    }
    fn mutants() -> Vec<Mutant<Self>> {
        Vec::new()
    }
}

const SOUND: Toy = Toy {
    unbounded: false,
    trapped: false,
    pairs: false,
};

fn row(toy: &Toy) -> CheckRow {
    check(toy).unwrap()
}

fn holds(row: &CheckRow, name: &str) -> bool {
    row.properties
        .iter()
        .find(|property| property.name == name)
        .unwrap()
        .holds
}

#[test]
fn a_sound_toy_is_counted_exactly() {
    let row = row(&SOUND);
    // 0 to 3; three climbs, three ways back; the farthest is three steps away.
    assert_eq!(
        (row.states, row.transitions, row.depth, row.terminal),
        (4, 6, 3, 0)
    );
    assert_eq!((row.stateright.states, row.stateright.transitions), (4, 6));
    assert_eq!(
        (row.actions["climb"], row.actions["back"], row.refused["no"]),
        (3, 3, 2)
    );
    assert!(holds(&row, "at most three") && holds(&row, "zero again"));
}

#[test]
fn what_is_vacuous_or_unseen_everywhere_is_a_finding() {
    let found = findings(&[row(&SOUND)], true);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found
            .iter()
            .any(|f| f.contains("never asked") && f.contains("VACUOUS"))
    );
    assert!(found.iter().any(|f| f.contains("a five is seen")));
}

#[test]
fn a_state_property_that_falls_is_seen_by_both_checkers() {
    let row = row(&Toy {
        unbounded: true,
        ..SOUND
    });
    assert!(!holds(&row, "at most three"));
    assert_eq!(row.stateright_fallen, ["at most three"]);
    assert_eq!(row.findings().len(), 1, "the checkers agree on what falls");
}

#[test]
fn a_trap_is_found_by_the_liveness_pass() {
    let row = row(&Toy {
        trapped: true,
        ..SOUND
    });
    assert_eq!(row.terminal, 1);
    assert!(!holds(&row, "zero again"));
}

#[test]
fn a_symmetry_that_is_none_does_not_come_out_even() {
    let row = row(&Toy {
        pairs: true,
        ..SOUND
    });
    assert!(!row.symmetry.unwrap().exact);
    assert!(row.findings()[0].contains("not as symmetric"), "{row:?}");
}

#[test]
fn the_digest_is_that_of_the_graph_and_of_nothing_else() {
    let digest = |toy: &Toy| explore(toy, &[], Bounds::default()).unwrap().digest();
    let sound = digest(&SOUND);
    assert_eq!(
        sound,
        "e3ba60f4c4e7b4074c32eee39330108c7a916d62f3d279db5805a4ad497e9fec"
    );
    assert_eq!(
        sound,
        row(&SOUND).digest,
        "judging properties changes nothing"
    );
    assert_ne!(
        sound,
        digest(&Toy {
            trapped: true,
            ..SOUND
        })
    );
    assert_ne!(
        sound,
        digest(&Toy {
            unbounded: true,
            ..SOUND
        })
    );
}

#[test]
fn a_graph_that_does_not_fit_is_an_error_and_no_smaller_graph() {
    let refused = explore(&SOUND, &[], Bounds { states: 2 });
    assert!(refused.is_err());
}

#[test]
fn a_mutant_is_killed_at_its_least_depth_and_a_sound_one_survives() {
    let mutant = |spec: Toy| Mutant {
        id: "toy-unbounded".to_owned(),
        says: "climbing does not end".to_owned(),
        property: Some("at most three"),
        spec,
    };
    let (killed, trace) = mutant(Toy {
        unbounded: true,
        ..SOUND
    })
    .kill()
    .unwrap();
    assert!(killed.killed);
    assert_eq!((killed.depth, trace.unwrap().steps.len()), (4, 4));
    let (survivor, none) = mutant(SOUND).kill().unwrap();
    assert!(!survivor.killed && none.is_none());
}
