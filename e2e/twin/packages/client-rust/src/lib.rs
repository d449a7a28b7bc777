//! Links the crates of an API client.

use reqwest as _;
use reqwest_middleware as _;
use serde as _;
use serde_json as _;
use serde_repr as _;
use serde_with as _;
use url as _;
use uuid as _;
