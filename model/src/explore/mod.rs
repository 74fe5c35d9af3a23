//! The Explorer that teaches: any path through a specification as a page in a browser, with
//! actions in words, states as small tables, and a sequence diagram of how it came to this.
//!
//! stateright serves the page; [`Walk`] is the model that it serves. A specification says what
//! there is to see ([`Diagram`]); from that and a path comes a [`picture::Picture`], and from the
//! picture the drawing ([`svg`]) or a text ([`text`]). Nothing is loaded from anywhere: it works
//! without a network.
//!
//! The same drawings are written to files by `holdfast-model trace --svg`, and `docs/traces` keeps
//! some.

mod arrows;
mod card;
mod diagram;
mod ink;
mod measure;
pub mod picture;
mod style;
mod svg;
mod text;
mod walk;

pub use diagram::{Call, Diagram, picture, picture_of_trace};
pub use picture::{
    Badge, Card, Cell, Dye, Event, Fall, Hue, Lane, LaneAt, Life, Look, Picture, Row, Shape, Strip,
    Tone,
};
pub use svg::svg;
pub use text::tell;
pub use walk::{Served, Walk};
