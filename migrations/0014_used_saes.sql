CREATE TABLE "used_saes" (
	"run_id" uuid PRIMARY KEY NOT NULL,
	"sae_id" uuid NOT NULL
);
--> statement-breakpoint
ALTER TABLE "used_saes" ADD CONSTRAINT "used_saes_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "used_saes" ADD CONSTRAINT "used_saes_sae_id_saes_id_fk" FOREIGN KEY ("sae_id") REFERENCES "saes"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "used_saes_sae" ON "used_saes" USING btree ("sae_id");