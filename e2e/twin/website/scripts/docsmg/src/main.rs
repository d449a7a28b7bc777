//! Links the crates of a command line.

use clap as _;
use colored as _;
use dotenvy as _;
use eyre as _;
use regex as _;
use tracing as _;

fn main() {
    println!("docsmg");
}
