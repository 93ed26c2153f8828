//! Migrations, queries and the typed store.
