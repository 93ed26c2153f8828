import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
// Before the pages, which build on them with styles of their own.
import "./styles/tokens.css";
import "./styles/base.css";
import "./components/components.css";
import { App } from "./app";

const root = document.getElementById("root");
if (root === null) throw new Error("index.html has no element for the app");

createRoot(root).render(
  <StrictMode>
    <App path={location.pathname} search={location.search} />
  </StrictMode>,
);
