use tempfile::tempdir;

use crate::draw;
use crate::rule::RuleSet;
use crate::snapshot::{Limits, Safety};
use crate::units::Seed;

use super::*;
