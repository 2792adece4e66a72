// Passkeys: signing in by one, and adding one. The browser asks its owner, the server checks what it says.
const base = document.body.dataset.base ?? "";
const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (one) => one.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const sealed = (some) => (some ?? []).map((one) => ({ ...one, id: bytes(one.id) }));

async function ask(form, path, body) {
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

async function signIn(form) {
  const options = await ask(form, "/session/passkey/begin");
  const known = options.publicKey ?? options;
  const made = await navigator.credentials.get({
    publicKey: { ...known, challenge: bytes(known.challenge), allowCredentials: sealed(known.allowCredentials) },
  });
  const { response } = made;
  await ask(form, "/session/passkey", {
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

async function add(form) {
  const known = await ask(form, "/me/passkeys/begin", { password: form.elements.password.value });
  const made = await navigator.credentials.create({
    publicKey: {
      ...known,
      challenge: bytes(known.challenge),
      user: { ...known.user, id: bytes(known.user.id) },
      excludeCredentials: sealed(known.excludeCredentials),
    },
  });
  await ask(form, "/me/passkeys", {
    name: form.elements.name.value,
    answer: {
      id: made.id,
      rawId: text(made.rawId),
      type: made.type,
      response: {
        clientDataJSON: text(made.response.clientDataJSON),
        attestationObject: text(made.response.attestationObject),
      },
    },
  });
  location.assign(`${base}/me`);
}

// What a browser says of why is for programmers, and a passkey is bound to a name: an address of numbers has none.
const numbers = /^[\d.]+$|:/.test(location.hostname);
function why(error) {
  if (numbers) return "Passkeys need a host name: open the console by its name, or as localhost.";
  if (error.name === "NotAllowedError") return "The device gave no passkey: it was cancelled, or took too long.";
  if (error.name === "InvalidStateError") return "This device has a passkey for you already.";
  return error.message;
}

// A device is asked once at a time. Where it went well, the button stays as it is: another page comes.
async function once(button, said, work) {
  button.disabled = true;
  said.textContent = "The browser asks you for the passkey.";
  try {
    await work();
  } catch (error) {
    said.textContent = why(error);
    button.disabled = false;
  }
}

const can = "PublicKeyCredential" in globalThis;
const within = document.querySelector("[data-passkey]");
if (within && can) {
  const form = document.querySelector("form[action$='/sign-in']");
  const [button, said] = [within.querySelector("button"), within.querySelector("[role=status]")];
  within.hidden = false;
  button.addEventListener("click", () => once(button, said, () => signIn(form)));
}
const adding = document.querySelector("[data-passkey-add]");
if (adding && can) {
  const form = adding.querySelector("form");
  adding.hidden = false;
  document.querySelector("[data-passkey-none]").hidden = true;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    once(form.querySelector("button"), form.querySelector("[role=status]"), () => add(form));
  });
}
