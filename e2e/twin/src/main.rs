//! Links every crate that the workspace names, and calls into some.

use arc_swap as _;
use argh as _;
use axum as _;
use color_eyre as _;
use eyre as _;
use hyper_unix_socket as _;
use hyper_util as _;
use metrics as _;
use metrics_exporter_prometheus as _;
use nix as _;
#[cfg(feature = "core")]
use pyo3 as _;
use reqwest as _;
#[cfg(feature = "core")]
use sqlx as _;
use tokio as _;
use tracing as _;
use uuid as _;
use which as _;

fn main() {
    for line in ak_axum::touch().into_iter().chain(ak_common::touch()) {
        println!("{line}");
    }
    println!("uuid {}", uuid::Uuid::nil());
}
