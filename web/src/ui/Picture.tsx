import { useState } from "react";

import { CourtArt } from "./CourtArt";

/** A picture of a match, or a drawn court while there is none. Says nothing: the card around it does. */
export function Picture({ src }: { readonly src: string | null }) {
  const [failed, setFailed] = useState<string | null>(null);
  return (
    <span className="picture">
      <CourtArt />
      {src !== null && failed !== src && (
        <img
          src={src}
          alt=""
          loading="lazy"
          decoding="async"
          width={320}
          height={180}
          onError={() => {
            setFailed(src);
          }}
        />
      )}
    </span>
  );
}
