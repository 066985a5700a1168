//! The contract as checked types.
