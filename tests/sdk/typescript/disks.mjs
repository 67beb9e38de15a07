// Makes every disk and artifact call of the npm client, and prints what came of them as JSON.
import { AcontextClient, FileUpload } from '@acontext/acontext';

const client = new AcontextClient({
  baseUrl: process.env.ACONTEXT_BASE_URL,
  apiKey: process.env.ACONTEXT_API_KEY,
});
const { artifacts } = client.disks;
const said = { ping: await client.ping() };

const disk = await client.disks.create();
const page = await client.disks.list({ limit: 200, timeDesc: true });
said.listed = page.items.some((item) => item.id === disk.id);

const content = Buffer.from([...Array(256).keys()]);
const notes = new FileUpload({ filename: 'notes.md', content: Buffer.from('# Grüße\n') });
await artifacts.upsert(disk.id, { file: notes, filePath: '/docs/', meta: { by: 'me' } });
await artifacts.upsert(disk.id, { file: ['all.bin', content], filePath: '/docs/' });

const where = { filePath: '/docs/', filename: 'notes.md' };
const found = await artifacts.get(disk.id, { ...where, withContent: true, withPublicUrl: true });
said.content = found.content;
said.meta = found.artifact.meta;
said.link = await (await fetch(found.public_url)).text();

const binary = await artifacts.get(disk.id, { filePath: '/docs/', filename: 'all.bin' });
said.binary = Buffer.from(await (await fetch(binary.public_url)).arrayBuffer()).equals(content);

const changed = await artifacts.update(disk.id, { ...where, meta: { reviewed: true } });
said.changed = changed.artifact.meta;

const root = await artifacts.list(disk.id);
const docs = await artifacts.list(disk.id, { path: '/docs/' });
said.directories = root.directories;
said.names = docs.artifacts.map((artifact) => artifact.filename);

await artifacts.delete(disk.id, where);
said.gone = await artifacts.get(disk.id, where).catch((error) => error.statusCode);
await client.disks.delete(disk.id);
said.again = await client.disks.delete(disk.id).catch((error) => error.statusCode);

console.log(JSON.stringify(said));
