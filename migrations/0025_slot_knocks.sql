CREATE TABLE "slot_knocks" (
	"run_id" uuid NOT NULL,
	"concept_id" uuid NOT NULL,
	"edit" text NOT NULL,
	"split" text NOT NULL,
	"prompts" integer NOT NULL,
	"asked_answers" integer NOT NULL,
	"asked_change" double precision,
	"others" jsonb NOT NULL,
	CONSTRAINT "slot_knocks_run_id_concept_id_edit_pk" PRIMARY KEY("run_id","concept_id","edit"),
	CONSTRAINT "slot_knocks_edit" CHECK ("slot_knocks"."edit" in ('KNOCK_OUT', 'KNOCK_IN')),
	CONSTRAINT "slot_knocks_split" CHECK ("slot_knocks"."split" in ('TRAIN', 'VALIDATION', 'TEST_OOD'))
);
--> statement-breakpoint
ALTER TABLE "slot_knocks" ADD CONSTRAINT "slot_knocks_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "slot_knocks" ADD CONSTRAINT "slot_knocks_concept_id_concepts_id_fk" FOREIGN KEY ("concept_id") REFERENCES "concepts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "slot_knocks_concept" ON "slot_knocks" USING btree ("concept_id");