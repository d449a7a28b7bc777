//! Links the crates of settings, logs and data.

use ak_client as _;
use arc_swap as _;
use aws_lc_rs as _;
use chrono as _;
use config_rs as _;
use console_subscriber as _;
use dotenvy as _;
use eyre as _;
use futures as _;
use glob as _;
use ipnet as _;
use json_subscriber as _;
use notify as _;
use pin_project_lite as _;
use regex as _;
use reqwest as _;
use reqwest_middleware as _;
use rustls as _;
use sentry as _;
use serde as _;
use serde_json as _;
#[cfg(feature = "core")]
use sqlx as _;
use thiserror as _;
use time as _;
use tokio as _;
use tokio_retry2 as _;
use tokio_util as _;
use tracing as _;
use tracing_error as _;
use tracing_subscriber as _;
use url as _;
use uuid as _;

/// What calls into the crates gave.
#[must_use]
pub fn touch() -> Vec<String> {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"");
    let found = regex::Regex::new("t(w)in").is_ok_and(|r| r.is_match("twin"));
    vec![format!("aws-lc-rs {:02x}", digest.as_ref()[0]), format!("regex {found}"), format!("url {}", url::Url::parse("https://twin.example/").is_ok())]
}
