//! Links the crates of the HTTP server.

use axum as _;
use axum_server as _;
use client_ip as _;
use color_eyre as _;
use durstr as _;
use eyre as _;
use forwarded_header_value as _;
use futures as _;
use ipnet as _;
use metrics as _;
use rustls as _;
use sentry as _;
use serde as _;
use serde_json as _;
use tokio as _;
use tokio_rustls as _;
use tower as _;
use tower_http as _;
use tracing as _;

/// What calls into the crates gave.
#[must_use]
pub fn touch() -> Vec<String> {
    let router: axum::Router = axum::Router::new();
    vec![format!("axum {}", router.has_routes()), format!("ipnet {}", "10.0.0.0/8".parse::<ipnet::IpNet>().is_ok())]
}
