import { useState } from "react";
import { Field } from "../parts/field";

/** Narrows a list down to one SKU. */
export function SkuFilter({ sku, onChange }: { sku: string; onChange: (sku: string) => void }) {
  const [text, setText] = useState(sku);
  const [known, setKnown] = useState(sku);
  if (known !== sku) {
    setKnown(sku);
    setText(sku);
  }
  return (
    <form
      className="ops-filters"
      onSubmit={(event) => {
        event.preventDefault();
        onChange(text.trim());
      }}
    >
      <Field label="SKU">
        {(props) => (
          <input
            {...props}
            value={text}
            autoComplete="off"
            onChange={(event) => setText(event.target.value)}
          />
        )}
      </Field>
      <button type="submit" className="button button-quiet">
        Filter
      </button>
    </form>
  );
}
