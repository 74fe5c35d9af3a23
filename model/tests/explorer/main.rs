//! The Explorer as its readers meet it: the command, the page in a real browser, the drawings.

mod browser;
mod command;
mod drawings;
mod page;
mod served;
