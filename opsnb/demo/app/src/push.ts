/** `npm run db:push`: bring the schema up to date, and seed an empty database. */

import pg from "pg";
import { settings } from "./settings.js";

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS projects (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    status text NOT NULL DEFAULT 'active',
    created_at timestamptz NOT NULL DEFAULT now()
  );
  CREATE TABLE IF NOT EXISTS scenes (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id integer NOT NULL REFERENCES projects (id),
    position integer NOT NULL,
    title text NOT NULL,
    script text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
  );
  CREATE INDEX IF NOT EXISTS idx_scenes_project_id ON scenes (project_id);
  CREATE TABLE IF NOT EXISTS analyses (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scene_id integer NOT NULL UNIQUE REFERENCES scenes (id),
    model text NOT NULL,
    score double precision NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
  );
`;

const SEED = `
  INSERT INTO projects (name, status, created_at)
    SELECT 'Project ' || n, CASE WHEN n % 10 = 0 THEN 'archived' ELSE 'active' END,
           now() - n * interval '6 hours'
    FROM generate_series(1, 200) n;
  INSERT INTO scenes (project_id, position, title, script, created_at)
    SELECT p.id, n, 'Scene ' || n, repeat('A street at night; rain. ', 8), p.created_at
    FROM projects p, generate_series(1, 15) n;
  INSERT INTO analyses (scene_id, model, score, created_at)
    SELECT id, 'gemini', (id * 37 % 100) / 100.0, created_at + interval '5 minutes'
    FROM scenes WHERE id % 5 <> 0;
`;

const client = new pg.Client({ connectionString: settings.databaseUrl });
await client.connect();
try {
  await client.query("BEGIN");
  await client.query(SCHEMA);
  const { rows } = await client.query("SELECT EXISTS (SELECT FROM projects) AS seeded");
  if (!rows[0].seeded) {
    await client.query(SEED);
  }
  await client.query("COMMIT");
  await client.query("ANALYZE projects, scenes, analyses");
  console.log(rows[0].seeded ? "schema is up to date" : "schema created and seeded");
} finally {
  await client.end();
}
