#!/usr/bin/env python3
"""Does each test of a pitfall catch what it is named after?

Copies the sources, puts one fault at a time into the engine, builds the test that is named after that pitfall
and runs it: it must fail. Without the fault it must pass. One line a fault; ends with "N passed, N failed".

    tests/ike/break_pitfalls.py [PATTERN]     only those whose test has PATTERN in its name

Takes some minutes. Part of no other run: a test that passes today and caught its fault once still does.
"""
import os
import shutil
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# (program, test, file in control/ike, what stands there, what the fault puts there)
FAULTS = [
    ("pitfall_exchange", "p01_an_iv_moves_only_when_the_message_verified", "exchange.c",
     "\tif (s->verify(x, m) != 0) {",
     "\tmemcpy(x->iv, iv, sizeof(x->iv));\n\tif (s->verify(x, m) != 0) {"),
    ("keymat", "p01_ivs_are_those_of_appendix_b", "keymat.c",
     "{ in->gxi, in->gxr };\n\tuint8_t hash", "{ in->gxr, in->gxi };\n\tuint8_t hash"),
    ("keymat", "p01_ivs_are_those_of_appendix_b", "keymat.c",
     "\tput_u32(mid, msgid);\n\tint rc = ike_hash", "\tput_u32(mid, msgid & 0xffff);\n\tint rc = ike_hash"),
    ("pitfall_exchange", "p02_hash_covers_the_raw_rest", "quick_mode.c",
     "\tif (s->hash == STEP_HASH1)",
     "\t((uint8_t *)(uintptr_t)after_hash(m).p)[1] = 0;\n\tif (s->hash == STEP_HASH1)"),
    ("pitfall_exchange", "p03_the_initiators_offer_is_authenticated", "keymat.c",
     "\t\tsai_b,\n", "\t\t(struct view){ sai_b.p, 8 },\n"),
    ("pitfall_exchange", "p03_hashes_cover_all_of_the_identity", "keymat.c",
     "\t\tid_body,\n\t};", "\t\t(struct view){ id_body.p + 4, id_body.len - 4 },\n\t};"),
    ("keymat", "p04_skeyid_depends_on_the_method", "keymat.c",
     "BYTES(nonces, in->ni.len + in->nr.len), &in->gxy, 1,", "in->gxy, &(struct view){ nonces, in->ni.len + in->nr.len }, 1,"),
    ("cert", "p04_ecdsa_uses_the_curves_own_hash", "cert_signature.c",
     "return kind ? kind->hash : negotiated;", "return kind ? negotiated : negotiated;"),
    ("keymat", "p05_short_skeyid_e_is_expanded", "keymat.c",
     "if (want <= k->prf_len) {", "if (want) {"),
    ("keymat", "p05_weak_des_keys_are_refused", "des.c",
     "\t       des_equal(key, key + DES_LEN) || ", "\t       "),
    ("dh", "p05_dh_secrets_are_padded_to_the_modulus", "dh.c",
     "BN_bn2binpad(r, out, g->info->public_len) == g->info->public_len", "BN_bn2bin(r, out) > 0"),
    ("dh", "p05_secrets_of_every_group_keep_their_leading_zeros", "dh.c",
     "BN_bn2binpad(x, out, half) == half", "BN_bn2bin(x, out) > 0"),
    ("dh", "p05_bad_modp_values_are_refused", "dh.c",
     "BN_is_zero(y) || BN_is_one(y) || BN_cmp(y, g->p_minus_1) >= 0",
     "BN_is_zero(y) || BN_is_one(y) || BN_cmp(y, g->p_minus_1) > 0"),
    ("dh", "p05_bad_modp_values_are_refused", "dh.c", "BN_is_zero(y) || BN_is_one(y)", "BN_is_zero(y)"),
    ("dh", "p05_subgroup_is_checked_for_groups_22_to_24", "dh.c",
     "\tif (!g->q)\n\t\treturn true;", "\treturn true;"),
    ("dh", "p05_points_off_the_curve_are_refused", "dh.c",
     "rc = -EKEYREJECTED; /* also checks", "rc = 0; /* also checks"),
    ("keymat", "p06_keymat_per_spi_and_protocol_with_salt", "keymat.c",
     "put_u32(net_spi, spi);", "put_u32(net_spi, 0 * spi);"),
    ("keymat", "p06_keymat_per_spi_and_protocol_with_salt", "keymat.c",
     "t->key_bits / 8U + encr_info(t->encr)->salt_len;", "t->key_bits / 8U;"),
    ("keymat", "p06_keymat_of_ah", "keymat.c",
     "{ gxy, BYTES(&protocol, 1),", "{ gxy, BYTES((const uint8_t *)\"\\3\", 0U * protocol + 1U),"),
    ("proposal", "p06_aes_without_key_length_means_128", "proposal_read.c",
     "*key_bits = info->key_bits;", "*key_bits = 256;"),
    ("proposal_esp", "p06_3des_with_key_length_is_invalid", "proposal_read.c",
     "if (*key_bits && !info->has_key_len)", "if (*key_bits && !info)"),
    ("message", "p07_commit_bit_and_unknown_flags_are_tolerated", "message_parse.c",
     "\tif (out->version >> 4 !=", "\tif (out->flags & ~1)\n\t\treturn -EPROTONOSUPPORT;\n\tif (out->version >> 4 !="),
    ("message", "p07_any_padding_and_reserved_bytes_are_accepted", "message_parse.c",
     "\t\tif (size < GENERIC_LEN)", "\t\tif (buf[at + 1])\n\t\t\treturn bad(why, \"reserved\");\n\t\tif (size < GENERIC_LEN)"),
    ("pitfall_exchange", "p07_nobody_waits_for_a_commit_bit", "exchange.c",
     "\tif ((encrypted != s->encrypted &&", "\tif (m->hdr.flags & ISAKMP_FLAG_COMMIT)\n\t\treturn false;\n\tif ((encrypted != s->encrypted &&"),
    ("proposal_esp", "p08_encapsulation_mode_missing_is_refused_clearly", "proposal_read.c",
     "\tif (!out->encap)", "\tif (!out->encap)\n\t\tout->encap = ENCAP_TUNNEL;\n\tif (!out->encap)"),
    ("proposal", "p08_phase1_spi_of_any_length_is_legal", "message_sa.c",
     "if (spi_len > IKE_MAX_SPI)", "if (spi_len > 8)"),
    ("pitfall_exchange", "p08_nonces_of_8_to_256_bytes", "main_mode.c",
     "nonce >= IKE_NONCE_MIN &&", "nonce >= 16 &&"),
    ("pitfall_exchange", "p08_nonces_of_8_to_256_bytes", "main_mode.c",
     "nonce <= IKE_NONCE_MAX &&", "nonce < IKE_NONCE_MAX &&"),
    ("pitfall_exchange", "p09_the_identity_must_be_that_of_the_connection", "main_mode_id.c",
     "\tif (ike_id_equal(&want, id) && (!open || sa->initiator))", "\tif (!open || sa->initiator)"),
    ("pitfall_exchange", "p10_natd_is_found_wherever_it_stands", "natt.c",
     "payload_find(l, natd_type(sa), 0);", "l->n > 2 && l->p[2].type == natd_type(sa) ? &l->p[2] : NULL;"),
    ("keymat", "p10_natd_covers_cookies_address_and_port", "keymat.c",
     "\t\tCOOKIE(icookie),\n\t\tCOOKIE(rcookie),\n\t\tBYTES(addr->b", "\t\tCOOKIE(rcookie),\n\t\tCOOKIE(icookie),\n\t\tBYTES(addr->b"),
    ("pitfall_exchange", "p11_a_responder_repeats_nothing_by_itself", "steps.c",
     "\t  .step = 1, .number = 3, .required", "\t  .step = 1, .number = 3, .retransmit = true, .required"),
    ("pitfall_exchange", "p11_duplicates_are_answered_a_few_times", "exchange.c",
     " && x->replies < REPLIES_MAX", ""),
    ("pitfall_exchange", "p11_half_open_exchanges_are_counted_before_anything_is_parsed", "engine.c",
     "\tif (half_open_full(ike, &m->path->remote))\n", "\tif (ike->closing)\n"),
    ("pitfall_exchange", "p12_message_ids_are_never_zero_or_used_twice", "isakmp_sa.c",
     "while (id != 0 && sa_msgid_used(sa, id));", "while (id == 0);"),
    ("pitfall_exchange", "p12_quick_mode_message_2_is_repeated_until_3_comes", "steps.c",
     "\t  .optional = ANYWHERE, .retransmit = true, .hash = STEP_HASH3,", "\t  .optional = ANYWHERE, .hash = STEP_HASH3,"),
    ("pitfall_sa", "p13_only_authenticated_informationals_count", "quick_mode.c",
     "\tif (rc == 0 && got.len == k->prf_len && secret_equal(got.p, want, got.len))",
     "\tif (rc == 0 && got.len == k->prf_len)"),
    ("pitfall_sa", "p13_nothing_counts_behind_a_delete", "informational.c",
     "\t\t\tinfo_deleted(sa, &d);\n\t\t\treturn;", "\t\t\tinfo_deleted(sa, &d);"),
    ("pitfall_sa", "p14_the_dpd_sequence_waits_for_the_answer", "sa_alive.c",
     "put_u32(seq, sa->dpd_seq);", "put_u32(seq, sa->dpd_seq++);"),
    ("keymat", "p15_rsa_padding_is_checked_in_full", "cert_signature.c",
     "(size_t)EVP_PKEY_get_size(key) != sig.len || !hash.len", "!hash.len"),
    ("keymat", "p15_rsa_padding_is_checked_in_full", "cert_signature.c",
     "EVP_PKEY_verify(ctx, sig.p, sig.len, hash.p, hash.len) == 1;\n\tEVP_PKEY_CTX_free(ctx);\n\treturn ok;\n}\n\n/* r | s",
     "EVP_PKEY_verify_recover_init(ctx) > 0;\n\tEVP_PKEY_CTX_free(ctx);\n\treturn ok;\n}\n\n/* r | s"),
    ("message", "p15_chains_are_bounded", "message_parse.c",
     "\t\tif (out->n == IKE_MAX_PAYLOADS)", "\t\tif (out->n == 2 * IKE_MAX_PAYLOADS)"),
    ("message", "p15_chains_are_bounded", "message_parse.c",
     "\t\tif (size > len - at)", "\t\tif (size > len)"),
    ("message", "p15_counts_in_the_sa_payload_are_bounded", "message_sa.c",
     "\tif (n != claimed)", "\tif (n < claimed)"),
    ("pitfall_sa", "p16_quick_mode_sas_are_deleted_before_their_main_mode_sa", "peer.c",
     "\tTAILQ_FOREACH(c, &p->children, link) {\n\t\tchild_delete_pairs(c, why);",
     "\tTAILQ_FOREACH(sa, &p->sas, link)\n\t\tsa_close(sa, why);\n\tTAILQ_FOREACH(c, &p->children, link) {\n\t\tchild_delete_pairs(c, why);"),
    ("pitfall_sa", "p16_a_delete_may_overtake_quick_mode_message_3", "informational.c",
     "\t\t\tif (pair && pair->x) /* it overtook Quick Mode message 3 */\n\t\t\t\texchange_kill(pair->x);\n\t\t\telse if (pair)",
     "\t\t\tif (pair && !pair->x)"),
    ("pitfall_sa", "p16_inbound_stands_before_the_message_that_makes_the_peer_send", "quick_mode.c",
     "\t\trc = pair_install(pair, SA_IN);\n", "\t\trc = pair_install(pair, SA_IN);\n\tif (rc == 0)\n\t\tquick_mode_installed(x);\n"),
    ("pitfall_sa", "p17_no_secret_in_any_sentence", "main_mode.c",
     "\tif (auth_is_psk(sa->auth))\n\t\tin.psk =", "\tike_note(x->ike, sa->peer, sa, \"with %.*s\", (int)cfg->psk_len, cfg->psk);\n\tif (auth_is_psk(sa->auth))\n\t\tin.psk ="),
    ("pitfall_sa", "p17_what_is_not_needed_any_more_is_wiped", "exchange.c",
     "\tbuf_wipe(ike, &x->gxy);\n", ""),
]


def run(command, cwd):
    return subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def outcome(build, program, test):
    """passes, fails, or what keeps it from running"""
    made = run(["ninja", f"tests/ike/test_{program}"], build)
    if made.returncode:
        return "does not build: " + next((l for l in made.stdout.splitlines() if "error:" in l), made.stdout[-200:])
    ran = run([f"tests/ike/test_{program}", "--filter", f"pitfall/{test}", "--jobs", "1"], build)
    if f"Tested: 1 " not in ran.stdout:
        return "is not there: " + ran.stdout[-200:]
    return "fails" if ran.returncode else "passes"


def main():
    only = sys.argv[1] if len(sys.argv) > 1 else ""
    passed = failed = 0
    with tempfile.TemporaryDirectory() as work:
        for name in run(["git", "ls-files"], TOP).stdout.split("\n"):
            if name and os.path.exists(os.path.join(TOP, name)):
                os.makedirs(os.path.dirname(os.path.join(work, name)), exist_ok=True)
                shutil.copy2(os.path.join(TOP, name), os.path.join(work, name))
        build = os.path.join(work, "build")
        made = run(["meson", "setup", build, "-Dbuildtype=debug"], work)
        if made.returncode:
            sys.exit(made.stdout)
        for program, test, name, old, new in FAULTS:
            if only not in test:
                continue
            path = os.path.join(work, "control", "ike", name)
            with open(path, encoding="utf-8") as f:
                text = f.read()
            sound = outcome(build, program, test)
            got = ""
            if text.count(old) != 1:
                got = f"the place stands {text.count(old)} times in {name}"
            else:
                with open(path, "w", encoding="utf-8") as f:
                    f.write(text.replace(old, new))
                got = outcome(build, program, test)
                with open(path, "w", encoding="utf-8") as f:
                    f.write(text)
            good = sound == "passes" and got == "fails"
            passed, failed = passed + good, failed + (not good)
            what = "fails with the fault" if good else f"as it is: {sound}; with the fault: {got}"
            print("PASS" if good else "FAIL", test, name, what, flush=True)
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
