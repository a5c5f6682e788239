//! The configuration: parsed with its spans, validated in one pass that collects every error.
