// Security keys and passkeys (WebAuthn level 3). Every form marked data-webauthn fetches its
// options, asks the browser's authenticators, and is then submitted like any other form.
// All sentences shown come from the page; nothing here writes markup.
"use strict";

const toBytes = (text) =>
  Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));

const toText = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replace(/\+/g, "-")
    .replace(/\//g, "_")
    .replace(/=+$/, "");

const known = (list) => (list || []).map((item) => ({ ...item, id: toBytes(item.id) }));

function creation(options) {
  return {
    ...options,
    challenge: toBytes(options.challenge),
    user: { ...options.user, id: toBytes(options.user.id) },
    excludeCredentials: known(options.excludeCredentials),
  };
}

function request(options) {
  return {
    ...options,
    challenge: toBytes(options.challenge),
    allowCredentials: known(options.allowCredentials),
  };
}

// The JSON form of an answer: RegistrationResponseJSON or AuthenticationResponseJSON.
function written(credential) {
  const answer = credential.response;
  const response = { clientDataJSON: toText(answer.clientDataJSON) };
  if (answer.attestationObject) {
    response.attestationObject = toText(answer.attestationObject);
    response.transports = answer.getTransports ? answer.getTransports() : [];
  } else {
    response.authenticatorData = toText(answer.authenticatorData);
    response.signature = toText(answer.signature);
    response.userHandle = answer.userHandle ? toText(answer.userHandle) : null;
  }
  return JSON.stringify({
    id: credential.id,
    rawId: toText(credential.rawId),
    type: credential.type,
    authenticatorAttachment: credential.authenticatorAttachment || null,
    clientExtensionResults: credential.getClientExtensionResults(),
    response,
  });
}

async function fetchOptions(form) {
  const body = new URLSearchParams({ form_token: form.dataset.token });
  if (form.elements.name) body.set("name", form.elements.name.value);
  const answer = await fetch(form.dataset.options, { method: "POST", body });
  const held = await answer.json();
  if (held.goto) location.assign(held.goto);
  if (!answer.ok) throw new Error(held.message);
  return held;
}

function send(form, held, credential) {
  form.elements.code.value = written(credential);
  if (held.ticket) form.elements.ticket.value = held.ticket;
  form.submit();
}

async function run(form) {
  const held = await fetchOptions(form);
  const credential =
    form.dataset.webauthn === "create"
      ? await navigator.credentials.create({ publicKey: creation(held.options) })
      : await navigator.credentials.get({ publicKey: request(held.options) });
  send(form, held, credential);
}

// Passkeys among the suggestions for the user name (WebAuthn section 5.1.4, conditional
// mediation). A browser has one question open at a time: the button takes this one back.
const RENEWED = 240000; // milliseconds; the answer to a challenge may take five minutes
const ROUNDS = 15; // an hour
let suggesting = null;

async function suggest(form) {
  const can = PublicKeyCredential.isConditionalMediationAvailable;
  if (!can || !(await can.call(PublicKeyCredential))) return;
  for (let round = 0; round < ROUNDS; round += 1) {
    const held = await fetchOptions(form);
    if (form.querySelector("button").disabled) return;
    const stop = (suggesting = new AbortController());
    const renewed = setTimeout(() => stop.abort(RENEWED), RENEWED);
    try {
      const publicKey = request(held.options);
      const asked = { publicKey, mediation: "conditional", signal: stop.signal };
      return send(form, held, await navigator.credentials.get(asked));
    } catch (error) {
      if (error !== RENEWED) return;
    } finally {
      clearTimeout(renewed);
    }
  }
}

function prepare(form) {
  const says = form.querySelector("[data-says]");
  const awaits = form.querySelector("[data-awaits]");
  const button = form.querySelector("button");
  form.querySelector("[data-without]").hidden = true;
  form.querySelector("[data-with]").hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (button.disabled) return;
    button.disabled = true;
    says.hidden = true;
    awaits.hidden = false;
    if (suggesting) suggesting.abort();
    run(form).catch((error) => {
      // DOMException names per WebAuthn section 5.1; an Error carries the server's sentence.
      says.textContent =
        error.name === "InvalidStateError"
          ? says.dataset.known
          : error.name === "Error"
            ? error.message
            : says.dataset.unanswered;
      says.hidden = false;
      awaits.hidden = true;
      button.textContent = button.dataset.again ?? button.textContent;
      button.disabled = false;
      button.focus();
    });
  });
  // What fails here was never asked for: the button says what is wrong when it is pressed.
  if ("suggests" in form.dataset) suggest(form).catch(() => {});
}

if (window.PublicKeyCredential) document.querySelectorAll("form[data-webauthn]").forEach(prepare);
