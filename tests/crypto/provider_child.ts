/** Run by `provider_test.ts` with few permissions or none: says which provider it got and that it can sign. */
import { loadCryptoProvider } from "../../core/crypto/provider.ts";

const crypto = await loadCryptoProvider();
const { publicKey, secretKey } = crypto.keyPair(new Uint8Array(32));
const message = new TextEncoder().encode("hello");
const works = crypto.verify(message, crypto.sign(message, secretKey), publicKey);
console.log(crypto.name, works ? "works" : "fails");
