//! Rules of the Murphi twin of the cluster, broken on purpose (`docs/cluster.md`, section 11): the
//! property that must fall, and after how many steps at the least. That it falls there in a
//! second text, in another checker, says that both texts mean the same by the rule.

use super::Twin;

/// A rule that is broken, and what comes of it.
#[derive(Clone, Copy, Debug)]
pub struct Broken {
    /// The mutation's id; where two have one, a letter is added.
    pub id: &'static str,
    /// The instance in which it is seen.
    pub instance: &'static str,
    /// The property that falls.
    pub property: &'static str,
    /// The length of the shortest run on which it does.
    pub steps: u64,
    /// What is replaced in the text, and by what.
    changes: &'static [(&'static str, &'static str)],
}

/// A barrier that answers what it did not sync.
const BARRIER_DOES_NOT_SYNC: &[(&str, &str)] = &[
    ("  else nodes[r].durable := head(r);\n", ""),
    (
        "answer.durable := lesser(nodes[r].durable, head(r))",
        "answer.durable := m.kind = barrier ? head(r) : lesser(nodes[r].durable, head(r))",
    ),
];

/// The primary counts what it has not synced.
const HEAD_IS_DURABLE: &[(&str, &str)] = &[(
    "is_enough(p, nodes[p].durable >= position,",
    "is_enough(p, head(p) >= position,",
)];

const fn broken(
    id: &'static str,
    instance: &'static str,
    property: &'static str,
    steps: u64,
    changes: &'static [(&'static str, &'static str)],
) -> Broken {
    Broken {
        id,
        instance,
        property,
        steps,
        changes,
    }
}

/// Every rule of the table.
pub const BROKEN: [Broken; 14] = [
    broken(
        "M01",
        "twin-pair",
        "A1-survives",
        8,
        &[(
            "    cut_log(nodes[n].log, nodes[n].durable);\n",
            "    cut_log(nodes[n].log, 0);\n    nodes[n].durable := 0;\n",
        )],
    ),
    broken("M09", "twin-pair", "A8-flush", 4, BARRIER_DOES_NOT_SYNC),
    broken("M10", "twin-pair", "A8-flush", 3, HEAD_IS_DURABLE),
    broken(
        "M24",
        "twin-pair",
        "A3-one-server",
        9,
        &[
            (
                "    !has_primary() & !nodes[n].primary & head(n)",
                "    !nodes[n].primary & head(n)",
            ),
            (
                "  the_record.news := false;\n  reset_reports();\n  nodes[n].primary",
                "  the_record.news := false;\n  nodes[n].primary",
            ),
        ],
    ),
    broken(
        "M25",
        "twin-pair",
        "A3-one-server",
        1,
        &[(" | !nodes[p].lease then", " then")],
    ),
    broken(
        "M37-silent",
        "twin-pair",
        "W1-received",
        6,
        &[(
            "      if !has_reported(n) then return false; end;\n      if !the_record",
            "      if has_reported(n) & !the_record",
        )],
    ),
    broken(
        "M37-whole",
        "twin-pair",
        "W1-received",
        6,
        &[(".whole := nodes[n].whole;", ".whole := true;")],
    ),
    broken(
        "F59",
        "twin-pair",
        "W1-received",
        4,
        &[(
            " & received_enough(p, l)\n       & !(has_pending(p) & \
             is_alone(nodes[p].pending) & nodes[p].durable < l)",
            "",
        )],
    ),
    broken(
        "M31",
        "twin-members",
        "A1-copies",
        7,
        &[("\n    & nodes[p].peer.durable >= head(p)\n  ==>", "\n  ==>")],
    ),
    broken(
        "M33-forgotten",
        "twin-members",
        "A1-copies",
        8,
        &[(
            "rule \"land\"",
            "ruleset p: node do\n  rule \"forget_request\"\n    nodes[p].primary & has_pending(p)\n  \
             ==>\n  var served: nodes_of;\n  begin\n    look(served);\n    undefine \
             nodes[p].pending;\n    commit(p);\n    settle(served);\n  end;\nend;\n\nrule \
             \"land\"",
        )],
    ),
    broken(
        "M33-alone",
        "twin-members",
        "A1-copies",
        11,
        &[(
            "suffices(nodes[p].view, p, own, others)\n    & (!has_pending(p) | \
             suffices(nodes[p].pending, p, own, others));",
            "suffices(has_pending(p) ? nodes[p].pending : nodes[p].view, p, own, others);",
        )],
    ),
    broken("M09", "twin-wire", "A8-flush", 7, BARRIER_DOES_NOT_SYNC),
    broken("M10", "twin-wire", "A8-flush", 6, HEAD_IS_DURABLE),
    broken(
        "M04",
        "twin-wire",
        "A8-flush",
        5,
        &[("greater(nodes[p].peer.durable, m.durable);", "head(p);")],
    ),
];

/// The properties of the Murphi twin that are judged in every state.
const INVARIANTS: [&str; 8] = [
    "A1-survives",
    "W1-received",
    "A1-copies",
    "A2-gone-is-gone",
    "A3-one-server",
    "T1-one-history",
    "T13-committed-kept",
    "order",
];
/// The one that is judged where a flush is answered.
const ANSWERED: &str = "  assert flush_was_right(before) \"A8-flush\";\n";

impl Broken {
    /// The text of a twin with this rule broken, in which its property alone is judged.
    ///
    /// # Errors
    /// What should be replaced and is not there exactly once.
    pub fn applied_to(&self, twin: &Twin) -> Result<String, &'static str> {
        let mut text = twin.murphi.clone();
        for (what, by) in self.changes {
            text = replaced(&text, what, by).ok_or(*what)?;
        }
        for invariant in INVARIANTS {
            if invariant != self.property {
                text = without_invariant(&text, invariant).ok_or(invariant)?;
            }
        }
        if self.property != "A8-flush" {
            text = replaced(&text, ANSWERED, "").ok_or(ANSWERED)?;
        }
        Ok(text)
    }
}

fn replaced(text: &str, what: &str, by: &str) -> Option<String> {
    (text.matches(what).count() == 1).then(|| text.replace(what, by))
}

/// An invariant has no `;` but at its end.
fn without_invariant(text: &str, name: &str) -> Option<String> {
    let begin = text.find(&format!("invariant \"{name}\"\n"))?;
    let end = begin + text[begin..].find(";\n")? + 2;
    Some([&text[..begin], &text[end..]].concat())
}

#[cfg(test)]
mod tests {
    use super::super::twin;
    use super::BROKEN;

    #[test]
    fn every_broken_rule_is_in_the_text_once_and_one_property_is_left() {
        for broken in BROKEN {
            let twin = twin(broken.instance).unwrap();
            let text = broken.applied_to(&twin).unwrap();
            assert_ne!(text, twin.murphi);
            let judged = text.matches("invariant \"").count() + text.matches("assert ").count();
            assert_eq!(judged, 1, "{}", broken.id);
            assert!(text.contains(&format!("\"{}\"", broken.property)));
        }
    }
}
