//! The built binary as its users run it: real processes, real servers, real sockets.

mod command_line;
mod http;
mod process;
mod stampede;
mod up;
