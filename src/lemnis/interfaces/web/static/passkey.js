// Signing in by a passkey: the browser asks for it, the server checks what it says.
const base = document.body.dataset.base ?? "";
const part = document.querySelector("[data-passkey]");
const form = document.querySelector("form[action$='/sign-in']");
const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (one) => one.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

async function ask(path, body) {
  const answer = await fetch(`${base}/api/v1${path}`, {
    method: "POST",
    credentials: "same-origin",
    headers: { "content-type": "application/json", "x-csrf-token": form.elements.csrf.value },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.title ?? answer.statusText);
  return said;
}

async function signIn() {
  const options = await ask("/session/passkey/begin");
  const known = options.publicKey ?? options;
  const made = await navigator.credentials.get({
    publicKey: {
      ...known,
      challenge: bytes(known.challenge),
      allowCredentials: (known.allowCredentials ?? []).map((one) => ({ ...one, id: bytes(one.id) })),
    },
  });
  const { response } = made;
  await ask("/session/passkey", {
    answer: {
      id: made.id,
      rawId: text(made.rawId),
      type: made.type,
      response: {
        authenticatorData: text(response.authenticatorData),
        clientDataJSON: text(response.clientDataJSON),
        signature: text(response.signature),
        userHandle: response.userHandle ? text(response.userHandle) : null,
      },
    },
  });
  location.assign(base + form.elements.next.value);
}

if (part && globalThis.PublicKeyCredential) {
  part.hidden = false;
  part.querySelector("button").addEventListener("click", () => {
    signIn().catch((error) => { part.querySelector("[role=status]").textContent = error.message; });
  });
}
